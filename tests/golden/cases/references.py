import enum
import math

import torch
from torch import Tensor, nn

LIMIT = 7


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Settings:
    """No literal stands for one of these."""


class References(nn.Module):
    class Mode(enum.Enum):
        FAST = "fast"

    def forward(
        self,
        x: Tensor,
        colour: Colour = Colour.RED,
        mode: "References.Mode" = Mode.FAST,
        dtype: torch.dtype = torch.float32,
        device: torch.device = torch.device("cpu"),
        both: tuple = (torch.int64, Colour.BLUE, "x"),
        limit: int = LIMIT,
        infinite: float = math.inf,
        settings: Settings = Settings(),
        *,
        layout: torch.layout = torch.strided,
        callback=print,
    ) -> Tensor:
        return x
