# scripted
from torch import Tensor, nn


class PositionalOnly(nn.Module):
    def forward(self, x: Tensor, /) -> Tensor:
        return x
