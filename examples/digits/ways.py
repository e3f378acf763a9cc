"""The ways to call a remote backbone, each a few lines, and one function that times them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import remotemod as rm
from examples.digits.model import Block, Classifier

Answers = list[tuple[Tensor, Tensor]]
"""For each batch its logits, and the features that the backbone returned."""

Way = Callable[[list[Tensor]], Answers]
"""Classifies all batches."""


def with_head_at_home(backbone: nn.Module, trained: nn.Module) -> Classifier:
    """A classifier around a local or remote backbone, with a local copy of the trained head, the block included."""
    model = Classifier(backbone, Block())
    model.head.load_state_dict(trained.state_dict())
    return model.eval()


def blocking(model: nn.Module) -> Way:
    """One call after the other."""
    return lambda batches: [model(images) for images in batches]


def in_flight(model: Classifier) -> Way:
    """All calls at once: waits for the first result only when all calls have been sent."""

    def classify(batches: list[Tensor]) -> Answers:
        futures = [model.backbone.forward_async(images) for images in batches]
        return [(model.head(features), features) for features in (f.wait() for f in futures)]

    return classify


def remote_ways(
    remote: rm.RemoteModule, stub: rm.RemoteModule, trained: nn.Module
) -> dict[str, Way]:
    """Every way by its name.

    Args:
        remote: the backbone, as a plain remote module.
        stub: the same backbone, through the class in the generated file.
        trained: the head that was trained with it, wherever its submodules are.
    """
    plain, typed = with_head_at_home(remote, trained), with_head_at_home(stub, trained)
    scripted = torch.jit.script(plain)
    return {
        "RemoteModule": blocking(plain),
        "stub file": blocking(typed),
        "stub file, async": in_flight(typed),
        "scripted": blocking(scripted),
        "scripted, async": scripted.forward_all,
    }


@dataclass(frozen=True)
class Result:
    """The results of one way on the test set; bytes are those of the tensors sent and received."""

    name: str
    logits: Tensor
    seconds: float
    calls: int
    sent: int
    received: int


def measure(name: str, way: Way, batches: list[Tensor]) -> Result:
    """Goes through the batches twice and times the second pass: the first one warms up."""
    with torch.no_grad():
        way(batches)
        start = time.perf_counter()
        answers = way(batches)
        seconds = time.perf_counter() - start
    return Result(
        name,
        logits=torch.cat([logits for logits, _ in answers]),
        seconds=seconds,
        calls=len(answers),
        sent=sum(images.nbytes for images in batches),
        received=sum(features.nbytes for _, features in answers),
    )
