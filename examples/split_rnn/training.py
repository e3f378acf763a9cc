"""Trains a model, split or not: the loop is the same, and so are the losses, to the bit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

import remotemod as rm
from examples.split_rnn.model import LanguageModel, detached
from examples.split_rnn.text import Text, batches

ROWS, LENGTH = 16, 64
RATE, LONGEST = 6e-3, 1.0
"""The learning rate, and the largest norm of all gradients together."""


class Step(NamedTuple):
    """One step's loss, and the norm of all gradients before they were clipped."""

    loss: float
    norm: float


class Optimizer(Protocol):
    """The methods of a torch optimizer and of a remote one that are used here."""

    def zero_grad(self) -> None: ...

    def step(self) -> object: ...


def steps_of_split(model: LanguageModel, text: Text) -> Iterator[Step]:
    """Trains local and remote parameters."""
    optimizer = rm.RemoteOptimizer(torch.optim.Adam, model, lr=RATE)
    return steps(model, text, optimizer, lambda: rm.clip_grad_norm_(model, LONGEST))


def steps_of_unsplit(model: LanguageModel, text: Text) -> Iterator[Step]:
    """Trains local parameters, with torch alone."""
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters, lr=RATE)
    return steps(model, text, optimizer, lambda: nn.utils.clip_grad_norm_(parameters, LONGEST))


def steps(
    model: LanguageModel, text: Text, optimizer: Optimizer, clip: Callable[[], Tensor]
) -> Iterator[Step]:
    """Trains without end: the text is read again and again, each time with an empty state."""
    for _ in itertools.count():
        state = None
        for given, wanted in batches(text.training, ROWS, LENGTH):
            model.train()
            optimizer.zero_grad()
            logits, state = model(given, state)
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
            loss.backward()
            norm = clip()
            optimizer.step()
            state = detached(state)
            yield Step(loss.item(), norm.item())


@torch.no_grad()
def perplexity(model: LanguageModel, numbers: Tensor) -> float:
    """The perplexity for each character of a text that is read once; 1 is perfect."""
    model.eval()
    total, count, state = 0.0, 0, None
    for given, wanted in batches(numbers, 2 * ROWS, LENGTH):
        logits, state = model(given, state)
        losses = nn.functional.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), reduction="sum"
        )
        total, count = total + losses.item(), count + wanted.numel()
    return math.exp(total / count)
