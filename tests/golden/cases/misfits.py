from typing import List, Optional, Tuple

from torch import Tensor, nn


class Settings:
    pass


class ImplicitOptional(nn.Module):
    def forward(self, x: Tensor = None, settings: Settings = None, sizes: List[Tensor] = None) -> Tensor:
        return x


class WrongDefaults(nn.Module):
    def forward(self, n: int = 0.5, size: Tuple[int, int] = 3, name: str = 1, x: Tensor = 0, rate: Optional[float] = "high", mode: Settings = "fast") -> Tensor:
        return x
