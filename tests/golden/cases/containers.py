from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Dict, List, Literal, Optional, Tuple, Type, TypeVar, Union

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

T = TypeVar("T")


class Box:
    pass


class Containers(nn.Module):
    def forward(
        self,
        nested: Dict[str, List[Tuple[Tensor, Optional[Tensor]]]],
        modern: dict[str, list[Tensor | None]],
        either: Union[int, Tensor, List[Tensor]],
        variadic: Tuple[Tensor, ...],
        empty: Tuple[()],
        bare: list,
        bare_tuple: tuple,
        bare_dict: Dict,
        bare_sequence: Sequence,
        bare_callable: Callable,
        function: Callable[[int, Tensor], Tensor],
        any_function: Callable[..., Any],
        no_arguments: Callable[[], None],
        kind: Type[Box],
        choice: Literal["a", 'b"c', 3],
        maybe_choice: Optional[Literal["it's"]],
        box: Box,
        boxes: List[Box],
        maybe_box: Box | None,
        table: Mapping[str, Box],
        ordered: collections.OrderedDict,
        packed: PackedSequence,
        items: Iterable[Tensor],
        variable: T,
        unknown: DoesNotExist,
        shaped: DoesNotExist[Tensor, "batch channels"],
        prose: "not a type at all",
    ) -> Tuple[Tensor, Dict[str, Tuple[Tensor, List[Optional[Tensor]]]], int]:
        return torch.ones(1), {}, 1

    def lists(self, x: List[List[List[Tensor]]]) -> List[List[Tensor]]:
        return x[0]

    def optional(self, x: Optional[List[Optional[Tensor]]]) -> Optional[Tensor]:
        return None

    def scalar(self, x: int) -> float:
        return 1.0
