# scripted
from typing import List

from torch import Tensor, nn


class KeywordOnlyDefault(nn.Module):
    def forward(self, x: Tensor, *, size: int = 2) -> Tensor:
        return x
