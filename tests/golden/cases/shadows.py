from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn


class Pair(NamedTuple):
    first: Tensor
    second: int


class item(NamedTuple):
    key: Tensor


class Shadows(nn.Module):
    def forward(
        this,
        self: Tensor,
        args: Tensor,
        kwargs: Tensor,
        rpc: Tensor,
        torch: Tensor,
        device: Tensor,
        module: Tensor,
        module_rref: Tensor,
        ret: Tensor,
        remotemod: Tensor,
        Tensor: Tensor,
        Future: Tensor,
        given: Tensor = object(),
        call: int = 1,
        STUB: int = 2,
        is_device_map_set: bool = False,
        _remote_forward: int = 3,
    ) -> Tensor:
        return self

    def loops(
        self,
        tuple: Tuple[Tensor, ...],
        item: List[Tensor],
        key: Dict[str, List[Tensor]],
        list: Optional[List[Tensor]],
        dict: Dict[str, Tensor],
        value: List[Tensor],
    ) -> Dict[str, List[Tensor]]:
        return key

    def builtins(self, int: int, str: str, float: float = float("inf"), bool: bool = True) -> int:
        return int

    def odd(self, l: Tensor, O: Tensor, I: Tensor, ref: item, Pair: Pair, print: int = 1) -> Tuple[Pair, item]:
        return Pair, ref

    def move(self, move: Tensor, to_caller: List[Tensor], move_to_caller: "Optional[Dict[str, object]]") -> "object":
        return move

    def self_named(self_, self: Tensor, self_2: Tensor) -> Tensor:
        return self

    def größe(self, länge: Tensor, μ: float = 1.0) -> Tensor:
        return länge


@torch.jit.interface
class ScriptedShadows(nn.Module):
    def forward(
        self,
        args: Tensor,
        kwargs: Tensor,
        rpc: Tensor,
        torch: Tensor,
        device: Tensor,
        module: Tensor,
        module_rref: Tensor,
        ret: Tensor,
        raw: Tensor,
        out: Tensor,
        call: Tensor,
        ref: Tensor,
        is_scripting: Tensor,
        remotemod: Tensor,
        Tensor: Tensor,
        Future: Tensor,
        fork: Tensor,
        tuple: int,
        is_device_map_set: bool = False,
    ) -> Tensor:
        pass

    def loops(self, item: List[Pair], key: Dict[str, Pair], value: Optional[Pair], item1: Dict[str, List[Pair]]) -> Dict[str, List[Pair]]:
        pass

    def unicode(self, länge: Tensor) -> Tensor:
        pass
