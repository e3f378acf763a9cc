from typing import Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn


class Literals(nn.Module):
    def forward(
        self,
        x: Tensor,
        yes: bool = True,
        count: int = -3,
        big: int = 10**20,
        rate: float = 1e-05,
        inf: float = float("inf"),
        minus_inf: float = -float("inf"),
        nan: float = float("nan"),
        phase: complex = 2j,
        word: str = "plain",
        quotes: str = "it's \"quoted\"",
        only_double: str = 'say "a"',
        only_single: str = "it's",
        escapes: str = "tab\t newline\n back\\ \\' end",
        raw: bytes = b"\x00'\"",
        unicode: str = "größe 🙂",
        nothing: Optional[int] = None,
        pair: Tuple[int, str] = (1, "b"),
        one: Tuple[int, ...] = (1,),
        none: Tuple[int, ...] = (),
        items: List[int] = [1, 2],
        table: Dict[str, float] = {"a": 1.0, "b": float("inf")},
        text_long: str = "a long string that is wider than any line that a formatter would ever want to see, alone",
        list_long: List[str] = ["aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccccccccc"],
    ) -> Tensor:
        return x


@torch.jit.interface
class Scripted(nn.Module):
    def forward(self, x: Tensor, count: int = 3, rate: float = 0.5, word: str = "it's", on: bool = False, nothing: Optional[int] = None) -> Tensor:
        pass
