# scripted
from collections.abc import Sequence
from typing import Dict, Tuple

from torch import Tensor, nn


class AnyLength(nn.Module):
    def forward(self, x: Tuple[int, ...]) -> Tensor:
        return x
