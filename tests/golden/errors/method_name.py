# scripted
from collections.abc import Sequence
from typing import Dict, Tuple

from torch import Tensor, nn


class MethodName(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x

    def list(self) -> Tensor:
        return x
