# ruff: noqa: D102 - TorchScript allows a comment or a docstring in interface methods no place
# mypy: disable-error-code="empty-body, assignment"
"""A user's TorchScript interface, a module behind it, a model that holds it, and a factory of that model."""

import torch
from torch import Tensor, nn
from torch.futures import Future

import remotemod as rm


@torch.jit.interface
class Scorer(nn.Module):
    """What the remote part can do."""

    def forward(self, x: Tensor, power: int) -> Tensor:
        pass

    def forward_async(self, x: Tensor, power: int) -> Future[Tensor]:
        pass


class Powers(nn.Module):
    """The remote part."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor, power: int) -> Tensor:
        """``x`` to a power, scaled."""
        return self.scale * x**power


class Model(nn.Module):
    """Call its remote part twice at once."""

    scorer: Scorer

    def __init__(self, scorer: nn.Module) -> None:
        super().__init__()
        self.scorer = scorer
        self.bias = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """``2 x**3 + 2 x**2 + 0.5``."""
        later = self.scorer.forward_async(x, 3)
        return self.scorer.forward(x, 2) + later.wait() + self.bias


def make() -> Model:
    """For ``remotemod export``."""
    return Model(rm.RemoteModule("ps0/cpu", Powers, interface=Scorer, name="scorer"))
