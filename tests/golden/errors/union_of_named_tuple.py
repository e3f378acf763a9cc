# scripted
from typing import NamedTuple, Union

from torch import Tensor, nn


class Pair(NamedTuple):
    a: Tensor
    b: int


class UnionOfNamedTuple(nn.Module):
    def forward(self, x: Union[int, Pair]) -> Tensor:
        return x
