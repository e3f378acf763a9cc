"""The model in four parts, each of which may be local or on a worker; the class is the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

import remotemod as rm

State = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
"""The state of each of the two LSTMs."""

Place = Callable[..., nn.Module]
"""Builds a part: ``place(nn.LSTM, 64, 128)``."""


class LanguageModel(nn.Module):
    """Predicts how likely each character is to come next.

    Args:
        characters: how many there are.
        width: of the embedding and of both LSTMs.
        lower: where the first LSTM is built.
        upper: where the second one is.
    """

    def __init__(self, characters: int, width: int, lower: Place, upper: Place) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, width)
        self.lower = lower(nn.LSTM, width, width)
        self.upper = upper(nn.LSTM, width, width)
        self.decoder = nn.Linear(width, characters)

    def forward(self, given: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Logits of shape (length, rows, characters) for numbers of shape (length, rows)."""
        below, above = state if state is not None else (None, None)
        hidden, below = self.lower(self.embedding(given), below)
        hidden, above = self.upper(hidden, above)
        return self.decoder(hidden), (below, above)


def here(part: Callable[..., nn.Module], *args: int) -> nn.Module:
    return part(*args)


def on(worker: str) -> Place:
    """Builds parts on a worker."""

    def place(part: Callable[..., nn.Module], *args: int) -> nn.Module:
        return rm.RemoteModule(f"{worker}/cpu", part, args=args)

    return place


def unsplit(characters: int, width: int) -> LanguageModel:
    return LanguageModel(characters, width, here, here)


def split(characters: int, width: int, workers: Sequence[str]) -> LanguageModel:
    lower, upper = workers
    return LanguageModel(characters, width, on(lower), on(upper))


def detached(state: State) -> State:
    """The same state without its graph: gradients end between two batches."""
    (h0, c0), (h1, c1) = state
    return (h0.detach(), c0.detach()), (h1.detach(), c1.detach())


@torch.no_grad()
def sample(model: LanguageModel, start: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """The numbers of ``start`` and ``length`` more, drawn one by one; each needs a call to each worker."""
    model.eval()
    said = start
    logits, state = model(start[:, None], None)
    for _ in range(length):
        chances = (logits[-1, 0] / 0.7).softmax(0)
        drawn = torch.multinomial(chances, 1, generator=generator)
        said = torch.cat([said, drawn])
        logits, state = model(drawn[:, None], state)
    return said
