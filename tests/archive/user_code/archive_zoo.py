"""A user's models: the processes that load their archives cannot import this file."""

import enum
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import torch
from torch import Tensor, nn
from torch.futures import Future


class Pair(NamedTuple):
    first: Tensor
    count: int


class Deep(NamedTuple):
    pair: Pair
    many: List[Pair]
    maybe: Optional[Pair]


class Colour(enum.Enum):
    RED = 1


@torch.jit.interface
class Several(nn.Module):
    def forward(self, x: Tensor, scale: float = 2.0) -> Tensor:
        pass

    def forward_async(self, x: Tensor, scale: float = 2.0) -> Future[Tensor]:
        pass

    def encode(self, x: Tensor, level: int) -> List[Tensor]:
        pass

    def add(self, amount: int) -> None:
        pass

    def total(self) -> int:
        pass


class SeveralModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.linear = nn.Linear(3, 3)
        self.sum = 0

    def forward(self, x: Tensor, scale: float = 2.0) -> Tensor:
        return self.linear(x) * scale

    def encode(self, x: Tensor, level: int) -> List[Tensor]:
        return [x * i for i in range(level)]

    def add(self, amount: int) -> None:
        self.sum += amount

    def total(self) -> int:
        return self.sum


@torch.jit.interface
class Containers(nn.Module):
    def forward(self, x: Dict[str, Tensor]) -> Dict[str, List[Tuple[Tensor, int]]]:
        pass

    def nested(
        self, x: Dict[str, Dict[str, List[Optional[Tensor]]]]
    ) -> Dict[str, Dict[str, List[Optional[Tensor]]]]:
        pass

    def numbered(
        self, x: Dict[int, Tensor], y: Tuple[int, Tuple[str, Tensor]]
    ) -> Tuple[Tuple[str, Tensor], Dict[int, Tensor]]:
        pass

    def maybe(self, x: Optional[Tensor], y: Optional[List[int]] = None) -> Optional[Tensor]:
        pass

    def either(self, x: Union[int, Tensor], y: Any) -> Union[int, Tensor]:
        pass

    def anything(self, x: Any) -> Any:
        pass

    def words(
        self, d: torch.device, t: torch.dtype, c: complex, s: str, b: bool
    ) -> Tuple[torch.device, complex, str, bool]:
        pass


class ContainersModule(nn.Module):
    def forward(self, x):
        return {key: [(value, 1), (value + 1, 2)] for key, value in x.items()}

    def nested(self, x):
        return x

    def numbered(self, x, y):
        return y[1], {key + y[0]: value for key, value in x.items()}

    def maybe(self, x, y=None):
        return None if x is None else x + len(y or [])

    def either(self, x, y):
        return x

    def anything(self, x):
        return x

    def words(self, d, t, c, s, b):
        return d, c * 2, s + "!", not b


@torch.jit.interface
class Named(nn.Module):
    def forward(self, x: Pair) -> Pair:
        pass

    def deep(self, x: Dict[str, List[Deep]]) -> Dict[str, List[Deep]]:
        pass

    def maybe(self, x: Optional[Pair]) -> Optional[Pair]:
        pass

    def mixed(self, x: Tuple[int, Pair], y: Optional[List[Pair]]) -> Tuple[Optional[Pair], int]:
        pass


class NamedModule(nn.Module):
    """Is particular about the classes of what it is given."""

    def forward(self, x):
        assert type(x) is Pair
        return Pair(x.first + 1, x.count + 1)

    def deep(self, x):
        for deep in x["a"]:
            assert type(deep) is Deep
            assert type(deep.pair) is Pair
            assert all(type(pair) is Pair for pair in deep.many)
        return x

    def maybe(self, x):
        assert x is None or type(x) is Pair
        return x

    def mixed(self, x, y):
        assert type(x[1]) is Pair
        return (None if y is None else y[-1]), x[0]


@torch.jit.interface
class Keywords(nn.Module):
    def forward(self, x: Tensor, *, pair: Pair, word: str) -> Tuple[str, Tensor]:
        pass


class KeywordsModule(nn.Module):
    def forward(self, x, *, pair, word):
        assert type(pair) is Pair
        return word, x + pair.first


@torch.jit.interface
class Coloured(nn.Module):
    def forward(self, x: Tensor, colour: Colour) -> Tensor:
        pass


class ColouredModule(nn.Module):
    def forward(self, x, colour):
        return x


@torch.jit.interface
class Foreign(nn.Module):
    def forward(self, länge: Tensor) -> Tensor:
        pass


class ForeignModule(nn.Module):
    def forward(self, länge):
        return länge


class Pairing(NamedTuple):
    first: Tensor
    second: int


@torch.jit.interface
class Shadows(nn.Module):
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
        call: Tensor,
        ref: Tensor,
        is_scripting: Tensor,
        remotemod: Tensor,
        Tensor: Tensor,
        fork: Tensor,
        tuple: int,
        is_device_map_set: bool = False,
    ) -> Tensor:
        pass

    def loops(
        self,
        item: List[Pairing],
        key: Dict[str, Pairing],
        value: Optional[Pairing],
        item1: Dict[str, List[Pairing]],
    ) -> Dict[str, List[Pairing]]:
        pass


class ShadowsModule(nn.Module):
    def forward(self, *values):
        return sum(value * (i + 1) for i, value in enumerate(values))

    def loops(self, item, key, value, item1):
        return {
            **item1,
            "item": item,
            "key": [*key.values()],
            "value": [] if value is None else [value],
        }


class Model(nn.Module):
    """Has weights of its own, one part twice and asynchronously, and another."""

    head: Several
    again: Several
    tail: Named

    def __init__(self, head: nn.Module, tail: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.own = nn.Linear(3, 3)
        self.head = head
        self.again = head
        self.tail = tail

    def forward(self, x: Tensor) -> Tuple[Tensor, int]:
        x = self.own(x)
        later = self.head.forward_async(x, 0.5)
        y = self.again.forward(x, 3.0)
        pair = self.tail.forward(Pair(y + later.wait(), 1))
        return pair.first, pair.count


class One(nn.Module):
    """A layer here, a part there."""

    head: Several

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.own = nn.Linear(3, 3)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head.forward(self.own(x), 1.5)


def scripted_several() -> nn.Module:
    """A module that torch's RPC reaches without Python."""
    return torch.jit.script(ScriptedSeveral())


class ScriptedSeveral(SeveralModule):
    def __init__(self) -> None:
        super().__init__()
        self.sum: int = 0

    @torch.jit.export
    def encode(self, x: Tensor, level: int) -> List[Tensor]:
        return [x * i for i in range(level)]

    @torch.jit.export
    def add(self, amount: int) -> None:
        self.sum += amount

    @torch.jit.export
    def total(self) -> int:
        return self.sum


T = torch.arange(3.0)
PAIR = Pair(T, 4)
DEEP = Deep(PAIR, [PAIR, PAIR], None)
PAIRING = Pairing(T, 3)
CALLS = {
    "shadows": (
        Shadows,
        ShadowsModule,
        [
            ("forward", (*(T + i for i in range(15)), 2, True), {}),
            ("forward", (*(T + i for i in range(15)), 2), {}),
            ("loops", ([PAIRING], {"a": PAIRING}, PAIRING, {"b": [PAIRING]}), {}),
            ("loops", ([], {}, None, {}), {}),
        ],
    ),
    "several": (
        Several,
        SeveralModule,
        [
            ("forward", (T,), {}),
            ("forward", (T, 0.5), {}),
            ("encode", (T, 3), {}),
            ("add", (2,), {}),
            ("total", (), {}),
        ],
    ),
    "containers": (
        Containers,
        ContainersModule,
        [
            ("forward", ({"a": T, "b": T + 1},), {}),
            ("nested", ({"a": {"b": [T, None], "c": []}},), {}),
            ("numbered", ({1: T}, (2, ("x", T))), {}),
            ("maybe", (None,), {}),
            ("maybe", (T, [1, 2]), {}),
            ("either", (3, "x"), {}),
            ("either", (T, [1]), {}),
            *(("anything", (value,), {}) for value in (T, 3, "a", [1, 2], None, {"a": T})),
            ("words", (torch.device("cpu"), torch.float16, 1j, "word", True), {}),
        ],
    ),
    "named": (
        Named,
        NamedModule,
        [
            ("forward", (PAIR,), {}),
            ("deep", ({"a": [DEEP, Deep(PAIR, [], PAIR)]},), {}),
            ("maybe", (None,), {}),
            ("maybe", (PAIR,), {}),
            ("mixed", ((1, PAIR), [PAIR]), {}),
            ("mixed", ((1, PAIR), None), {}),
        ],
    ),
    "keywords": (Keywords, KeywordsModule, [("forward", (T,), {"pair": PAIR, "word": "w"})]),
}
"""Each interface, the module behind it, and calls: the method, arguments, keyword arguments."""
