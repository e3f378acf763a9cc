# scripted
from torch import Tensor, nn


class NoResult(nn.Module):
    def forward(self, x: Tensor):
        return x
