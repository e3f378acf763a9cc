import enum
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import torch
from torch import Tensor, nn


class Pair(NamedTuple):
    first: Tensor
    second: int


class Single(NamedTuple):
    only: Tensor


class Deep(NamedTuple):
    pair: Pair
    pairs: List[Pair]
    maybe: Optional[Pair]
    scale: float


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@torch.jit.interface
class NamedTuples(nn.Module):
    def forward(self, pair: Pair) -> Pair:
        pass

    def collections(self, pairs: List[Pair], table: Dict[str, Pair], maybe: Optional[Pair]) -> Dict[str, Pair]:
        pass

    def optional(self, x: Tensor) -> Optional[Pair]:
        pass

    def optional_list(self, x: Optional[List[Pair]]) -> Optional[List[Pair]]:
        pass

    def list_of_optional(self, x: List[Optional[Pair]]) -> List[Optional[Pair]]:
        pass

    def dict_of_optional(self, x: Dict[str, Optional[Pair]]) -> Dict[str, Optional[Pair]]:
        pass

    def tuple_of_optional(self, x: Tuple[int, Optional[Pair]]) -> Tuple[Optional[Pair], int]:
        pass

    def single(self, x: Single) -> Single:
        pass

    def deep(self, x: Deep) -> Deep:
        pass

    def deeper(self, x: Dict[str, List[Deep]]) -> Dict[str, List[Deep]]:
        pass

    def either(self, x: Union[int, Tensor], y: Any) -> Union[int, Tensor]:
        pass

    def anything(self, x: Any) -> Any:
        pass

    def colour(self, x: Colour) -> Colour:
        pass

    def colours(self, x: List[Colour], y: Optional[Colour], z: Dict[str, Colour]) -> List[Colour]:
        pass

    def coloured(self, x: Tuple[Colour, Pair]) -> Tuple[Colour, Pair]:
        pass

    def mixed(self, d: torch.device, t: torch.dtype, c: complex, k: Optional[bool] = None) -> Tuple[torch.device, complex]:
        pass

    def tuples(self, x: List[Tuple[int, Tensor]]) -> List[Tuple[int, Tensor]]:
        pass
