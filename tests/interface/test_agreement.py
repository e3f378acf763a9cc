"""Source and live reading give the same interface, whatever the module is written like."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemod.interface.annotations import parse
from remotemod.interface.live.annotations import TypeReader
from remotemod.interface.model import Default, Kind
from remotemod.interface.types import TENSOR, NamedTupleType, OptionalType, OtherType, Symbol

HEAD = """
from __future__ import annotations
import enum, math, functools
import typing
import typing as t
import collections.abc as ca
from typing import *
import torch
import torch as th
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor as T, nn
"""
LIVE_HEAD = HEAD.replace("from __future__ import annotations\n", "")
BASE = "class M(nn.Module):\n"


@pytest.mark.parametrize("head", [HEAD, LIVE_HEAD], ids=["postponed", "evaluated"])
@pytest.mark.parametrize(
    "body",
    [
        "def forward(self): pass",
        "def forward(self, x: T, y: th.Tensor = None, *, z: 'torch.Tensor') -> None: 'Doc.'",
        "def forward(self, x, /, y=1, *args, k, **kwargs): pass",
        "def forward(self, a: int | None, b: Optional[List[T]] = None) -> dict[str, list[T]]: pass",
        "def forward(self, a: Tuple[()], b: tuple[int, ...], c: Tuple[T, Tuple[int, str]]): pass",
        "def forward(self, a: Union[int, str, None], b: Literal['x', 1], c: Annotated[T, 3]): pass",
        "def forward(self, a: torch.device, b: torch.dtype, c: torch.Generator, d: torch.Size): pass",
        "def forward(self, a: torch.jit.Future[T], b: torch.futures.Future[int]) -> Any: pass",
        "def forward(self, a: t.Callable[[int], T], b: Callable[..., int], c: ca.Iterable[T]): pass",
        "def forward(self, a: Type[nn.Module], b: nn.Parameter, c: slice, d: object): pass",
        "def forward(self, a: list, b: Dict, c: tuple, d: 'List[\"T\"]', e: 'no type'): pass",
        "def forward(self, a=float('inf'), b=-1, c=1e-5, d=(1, (2,)), e=[None], f={'a': -0.5}): pass",
        "def forward(self, a=math.inf, b=2**10, c=-math.pi, d=1 / 3, e=1 << 4, f=float('-inf')): pass",
        "def forward(self, a=torch.float, b=torch.device('cpu'), c=torch.contiguous_format): pass",
        "def forward(self, a=nn.ReLU, b=F.relu, c=int, d=len, e=(torch.float32, 1), f=b'x'): pass",
        "def forward(self, **__kwargs): pass",
        "@torch.no_grad()\n    def forward(self, x: T) -> T: 'Doc.'",
        "def other(self, x: int): 'Other.'\n    forward = other",
        "@overload\n    def forward(self, x: int) -> int: ...\n    def forward(self, x): pass",
        "def forward(self): pass\n    @property\n    def p(self): pass\n    @staticmethod\n    def s(): pass\n"
        "    @classmethod\n    def c(cls): pass\n    def _hidden(self): pass\n    def train(self): pass\n"
        "    def encode(self, x: T) -> T: 'Encode.'",
        "def b(self): pass\n    def forward(self): pass\n    def a(self): pass",
        "forward = lambda self, x, y=1, *, z=(2,): x",
        "def run(self, x: T, y: int, z: int = 3) -> T: pass\n"
        "    forward = functools.partialmethod(run, y=2)",
        "def run(self, x: T, y: int, *rest, z: int = 3) -> T: pass\n"
        "    forward = functools.partialmethod(run, 1)",
    ],
)
def test_readers_agree_on_methods(agree, head: str, body: str) -> None:
    """Kinds, types, defaults, order and docstrings are the same in both readers."""
    assert agree(f"{head}{BASE}    {body}\n").methods[0].name == "forward"


def test_names_follow_imports_across_files(agree) -> None:
    """Symbols carry the module that defines them, through aliases, stars and relative imports."""
    interface = agree(
        HEAD
        + "from .shapes import *\nfrom . import shapes as sh\nfrom .shapes import Box as Crate\n"
        + BASE
        + "    def forward(self, a: Box, b: sh.Box, c: Crate, d: Size = DEPTH, e=sh.Color.RED,"
        " f: sh.Color = sh.Color.BLUE, g=sh.SIZES, h=Color.RED.value) -> Optional[sh.Pair]: pass\n",
        shapes="""
            import enum
            from typing import NamedTuple, Tuple, Union
            from torch import Tensor
            from .deep import Box
            Size = Union[int, Tuple[int, int]]
            DEPTH = 3
            SIZES = (DEPTH, -1)
            class Color(enum.Enum):
                RED = 1
                BLUE = 2
            class Pair(NamedTuple):
                first: Tensor
                second: "Pair | None" = None
            """,
        deep="class Box: pass",
    )
    a, b, c, d, e, f, g, h = interface.method("forward").arguments
    package = interface.module.split(".")[0]
    assert a.type == b.type == c.type == OtherType(Symbol(f"{package}.deep", "Box"))
    assert d.default == Default("3")
    assert e.default == Default(f"{package}.shapes.Color.RED", "reference", (f"{package}.shapes",))
    assert f.default is not None
    assert g.default == Default("(3, -1)")
    assert h.default == Default("1")
    result = interface.method("forward").returns
    assert isinstance(result, OptionalType)
    assert isinstance(result.item, NamedTupleType)
    assert result.item.fields[0] == ("first", TENSOR)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="before Python 3.14 such names are quoted")
def test_names_for_type_checkers_need_no_quotes(agree) -> None:
    """Annotations are made when they are asked for, and may name what is imported for type checkers alone."""
    method = agree(
        """
        from typing import TYPE_CHECKING, NamedTuple
        from torch import Tensor, nn
        if TYPE_CHECKING:
            from fractions import Fraction
        class Pair(NamedTuple):
            first: Tensor
            second: Later
        class M(nn.Module):
            def forward(self, x: Fraction, later: Later) -> Pair: pass
        class Later: pass
        """
    ).methods[0]
    assert str(method.arguments[0].type) == "fractions.Fraction"
    assert isinstance(method.returns, NamedTupleType)
    assert [name for name, _ in method.returns.fields] == ["first", "second"]


def test_named_tuples_keep_their_fields(agree) -> None:
    """Every way to make a named tuple shows its fields, annotated later or not."""
    interface = agree(
        LIVE_HEAD
        + "from collections import namedtuple\nfrom torch.nn.utils.rnn import PackedSequence\n"
        + "A = namedtuple('A', ['x', 'y'])\nB = NamedTuple('B', [('x', int), ('y', T)])\n"
        + "class C(namedtuple('C', 'x y')): pass\nclass D(B): pass\n"
        + BASE
        + "    def forward(self, p: PackedSequence, a: A, b: B, c: C, d: D): pass\n"
    )
    kinds = [a.type for a in interface.method("forward").arguments]
    assert all(isinstance(kind, NamedTupleType) for kind in kinds)
    assert kinds[0].children()[0] == TENSOR


def test_methods_are_inherited_in_a_stable_order(agree) -> None:
    """A base's methods come first and an override keeps its base's place; mixins count."""
    interface = agree(
        HEAD
        + "from .base import Base, Mixin\nclass M(Mixin, Base):\n"
        + "    def late(self): pass\n    def early(self, x: int): pass\n",
        base="""
            from torch import nn, Tensor
            class Mixin:
                def mixed(self): pass
            class Base(nn.Linear):
                def early(self): pass
                def middle(self): pass
            """,
    )
    assert [m.name for m in interface.methods] == [
        *("forward", "reset_parameters", "early", "middle", "mixed", "late")
    ]
    assert [a.type for a in interface.method("forward").arguments] == [TENSOR]
    assert len(interface.method("early").arguments) == 1


def test_private_names_are_mangled(agree) -> None:
    """``**__kwargs`` in a class is ``_M__kwargs`` to Python, so it is to us."""
    interface = agree(HEAD + BASE + "    def forward(self, **__kwargs): pass\n")
    (argument,) = interface.method("forward").arguments
    assert (argument.name, argument.kind) == ("_M__kwargs", Kind.VAR_KEYWORD)


def test_type_checking_imports_count(agree) -> None:
    """A name imported for the type checker alone still gets its module."""
    agree(
        HEAD
        + "if TYPE_CHECKING:\n    from .base import Base\n    from pathlib import Path\n"
        + BASE
        + "    def forward(self, a: Base, b: Path | None) -> list[Base]: pass\n",
        init="from . import base",
        base="class Base: pass",
    )


@pytest.mark.parametrize(
    "head",
    [
        "try:\n    import no_such_package\n    from no_such_package import B\nexcept ImportError:\n    from torch.nn import Linear as B\n",
        "try:\n    from torch.nn import Linear as B\nexcept ImportError:\n    B = None\n",
        "from torch.nn import ReLU as B\nB = nn.Linear\n",
    ],
)
def test_the_branch_that_runs_counts(agree, head: str) -> None:
    """Of two definitions the one an import would leave behind is read."""
    interface = agree(HEAD + head + "class M(B):\n    pass\n")
    assert interface.method("forward").arguments[0].type == TENSOR


@pytest.mark.parametrize(
    ("decorator", "base", "origin"),
    [("@torch.jit.interface\n", "", "interface"), ("", "(Protocol)", "protocol")],
)
def test_interfaces_and_protocols_give_all_public_methods(agree, decorator, base, origin) -> None:
    """Both kinds of interface list their methods, asynchronous twins too."""
    interface = agree(
        f"{LIVE_HEAD}{decorator}class M{base}:\n"
        "    def forward(self, x: T) -> T: pass\n"
        "    def forward_async(self, x: T) -> torch.futures.Future[T]: pass\n"
        "    def scale(self, x: T, by: float) -> List[T]: pass\n"
    )
    assert interface.origin == origin
    assert [m.name for m in interface.methods] == ["forward", "forward_async", "scale"]
    assert [m.name for m in interface.remote_methods] == ["forward", "scale"]


def test_nested_classes_are_found(agree) -> None:
    """``Outer.Inner`` is read by its qualified name."""
    text = HEAD + "class Outer:\n    class Inner(nn.Module):\n        def forward(self): pass\n"
    assert agree(text, "Outer.Inner").name == "Inner"


_NAMES = {"int": int, "str": str, "Tensor": __import__("torch").Tensor, "slice": slice}
_SPACE = {**vars(__import__("typing")), **_NAMES}
_TREES = st.recursive(
    st.sampled_from(["int", "str", "Tensor", "slice", "None", "Any", "'Tensor'", "float"]),
    lambda inner: st.one_of(
        inner.map("Optional[{}]".format),
        inner.map("List[{}]".format),
        inner.map("list[{}]".format),
        inner.map("Tuple[{}, ...]".format),
        st.tuples(inner, inner).map(lambda p: "Dict[{}, {}]".format(*p)),
        st.tuples(inner, inner).map(lambda p: "Union[{}, {}]".format(*p)),
        st.tuples(inner, inner).map(lambda p: "Tuple[{}, {}]".format(*p)),
    ),
    max_leaves=8,
)


@given(_TREES)
def test_text_and_object_of_an_annotation_mean_the_same(text: str) -> None:
    """An annotation is read equally from its text, from its object, and from its canonical spelling."""
    reader = TypeReader(_SPACE)
    live = reader.read(eval(text, dict(_SPACE)))
    assert live == reader.read(text)
    assert reader.read(str(live)) == live


@given(st.text(max_size=30))
def test_garbage_never_crashes(text: str) -> None:
    """Text that is no annotation becomes an opaque type."""
    parse(text, lambda name: None)


DECORATORS = """
def bare(fn):
    def wrapper(*args, **kwargs): 'Wrapped.'
    return wrapper
def kept(fn):
    @functools.wraps(fn)
    def wrapper(*args, **kwargs): pass
    return wrapper
def made(n):
    def deco(fn):
        def inner(self, y: int = 2) -> T: 'Inner.'
        return inner
    return deco
def either(fn=None, *, option=1):
    def inner(fn):
        @functools.wraps(fn)
        def wrapper(*args): pass
        return wrapper
    if fn is not None:
        return inner(fn)
    return inner
def passed(fn):
    fn.mark = 1
    return fn
"""


@pytest.mark.parametrize(
    ("decorators", "names"),
    [
        (["bare"], ["args", "kwargs"]),
        (["kept"], ["x"]),
        (["made(3)"], ["y"]),
        (["passed"], ["x"]),
        (["either"], ["x"]),
        (["either(option=2)"], ["x"]),
        (["passed", "bare"], ["args", "kwargs"]),
        (["kept", "made(1)"], ["y"]),
        (["torch.no_grad()", "passed"], ["x"]),
    ],
)
def test_a_wrapper_without_wraps_shows_its_own_signature(agree, decorators, names) -> None:
    """Source shows what inspect shows: the wrapper's signature unless it says whom it wraps."""
    lines = "".join(f"    @{text}\n" for text in decorators)
    body = f"{HEAD}{DECORATORS}{BASE}{lines}    def forward(self, x: T): 'Doc.'\n"
    assert [a.name for a in agree(body).method("forward").arguments] == names
