"""A model with a remote part, for every way in which a model can be captured."""

import torch
from torch import Tensor, nn

import remotemod as rm

NAME = "the part"


@torch.jit.interface
class PartInterface(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass


class Part(nn.Module):
    """What is remote."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        with torch.no_grad():
            self.linear.weight.copy_(torch.arange(9.0).reshape(3, 3) / 9)
            self.linear.bias.fill_(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.linear(x))


class Model(nn.Module):
    """What is local."""

    part: PartInterface

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        return self.part.forward(x * self.scale) + x


def given() -> Tensor:
    """An input that wants a gradient."""
    return (torch.arange(6.0).reshape(2, 3) / 6).requires_grad_()


def place(worker: str) -> rm.RemoteModule:
    """The part on a worker, under its name."""
    return rm.RemoteModule(f"{worker}/cpu", Part, interface=PartInterface, name=NAME)
