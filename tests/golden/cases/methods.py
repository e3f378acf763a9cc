import builtins
from typing import Dict, List

import torch
from torch import Tensor, nn


class Methods(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def int(self, x: torch.Tensor, n: "builtins.int") -> "List[builtins.str]":
        return []

    def str(self, x: "builtins.int") -> "Dict[builtins.str, bool]":
        return {}

    def tuple(self, x: "builtins.tuple[builtins.int, builtins.str]", y: "float" = 1.5) -> "builtins.list[builtins.int]":
        return []

    def list(self, x: "builtins.list[builtins.int]") -> "builtins.list[builtins.int]":
        return x

    def Tensor(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def remote_parameters(self) -> "builtins.int":
        return 1

    def state_dict(self) -> "builtins.int":
        return 1

    def forward_async(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def wait(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def call(self) -> torch.Tensor:
        return torch.ones(1)


@torch.jit.interface
class Several(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass

    def encode(self, x: Tensor, level: int = 3) -> List[Tensor]:
        pass

    def reset(self) -> None:
        pass
