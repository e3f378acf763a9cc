# ruff: noqa: D102 - TorchScript allows a comment or a docstring in interface methods no place
# mypy: disable-error-code="empty-body, assignment"
"""A small model for TorchScript: an interface, a module behind it, and a caller that holds it."""

import torch
from torch import Tensor, nn
from torch.futures import Future

__all__ = ["Doubler", "DoublerInterface", "Hybrid"]


@torch.jit.interface
class DoublerInterface(nn.Module):
    """The interface of the remote submodule; TorchScript allows interface methods ``pass`` and nothing else."""

    def forward(self, x: Tensor, times: int) -> Tensor:
        pass

    def forward_async(self, x: Tensor, times: int) -> Future[Tensor]:
        pass


class Doubler(nn.Module):
    """A module that multiplies."""

    def forward(self, x: Tensor, times: int) -> Tensor:
        """``x`` times ``times``."""
        return x * times


class Hybrid(nn.Module):
    """A model that calls its remote submodule twice at once."""

    remote: DoublerInterface

    def __init__(self, remote: nn.Module) -> None:
        super().__init__()
        self.remote = remote

    def forward(self, x: Tensor) -> Tensor:
        """Five times ``x``, computed elsewhere."""
        later = self.remote.forward_async(x, 3)
        return self.remote.forward(x, 2) + later.wait()
