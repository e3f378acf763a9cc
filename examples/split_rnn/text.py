"""The text that the model learns: what Python's own help says about the language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Text:
    """Characters by number: those to learn from, and a held-out part, the end of the text."""

    alphabet: str
    training: Tensor
    held_out: Tensor

    def encode(self, text: str) -> Tensor:
        return _encode(text, self.alphabet)

    def decode(self, numbers: Tensor) -> str:
        return "".join(self.alphabet[number] for number in numbers.tolist())

    def unigram_perplexity(self) -> float:
        """The perplexity on the held-out part of a model that knows only how frequent each character is."""
        counts = torch.bincount(self.training, minlength=len(self.alphabet)).double() + 1
        return float((counts / counts.sum()).log()[self.held_out].mean().neg().exp())


def load(limit: int | None = None) -> Text:
    """Reads the text.

    Args:
        limit: take only so many characters.
    """
    try:
        from pydoc_data.topics import topics
    except ModuleNotFoundError:
        raise SystemExit(
            "this Python comes without pydoc_data, the text of help(); take one with its whole standard library"
        ) from None
    # Topics repeat each other's paragraphs; held-out text must not occur in the training text.
    whole = "\n\n".join(topics[name].strip() for name in sorted(topics))
    text = "\n\n".join(dict.fromkeys(whole.split("\n\n")))[:limit]
    alphabet = "".join(sorted(Counter(text)))
    training, held_out = _encode(text, alphabet).tensor_split([len(text) * 9 // 10])
    return Text(alphabet, training, held_out)


def _encode(text: str, alphabet: str) -> Tensor:
    number = {character: n for n, character in enumerate(alphabet)}
    return torch.tensor([number[character] for character in text])


def batches(numbers: Tensor, rows: int, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pieces of the text and the characters that follow, each of shape (length, rows).

    The text is cut into ``rows`` long parts that are read side by side, so a row of one batch goes on in the
    next one.
    """
    each = (len(numbers) - 1) // rows
    if each < 1:
        raise ValueError(f"{len(numbers)} characters are too few for {rows} rows")
    given = numbers[: each * rows].view(rows, each).T
    wanted = numbers[1 : each * rows + 1].view(rows, each).T
    for start in range(0, each, length):
        yield given[start : start + length], wanted[start : start + length]
