"""Real images without a download: the handwritten digits that scikit-learn includes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Digits:
    """Images of shape (count, 1, 8, 8) with values in 0..1, and the digit that each one shows."""

    images: Tensor
    labels: Tensor

    def batches(self, size: int) -> list[Tensor]:
        return list(self.images.split(size))


def load() -> tuple[Digits, Digits]:
    """A training half and a test half; the two come from the same 1,797 images, shuffled once."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise SystemExit("the demo needs scikit-learn: pip install 'remotemod[examples]'") from None

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order.chunk(2)
    digits = torch.from_numpy(labels).long()
    return Digits(images[train], digits[train]), Digits(images[test], digits[test])
