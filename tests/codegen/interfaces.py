"""Interfaces of every shape, drawn by hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from remotemod.interface.annotations import union
from remotemod.interface.model import Argument, Default, Interface, Kind, Method
from remotemod.interface.types import (
    ANY,
    NONE,
    PLAIN_TYPES,
    TENSOR,
    DictType,
    ListType,
    NamedTupleType,
    OtherType,
    Symbol,
    TupleType,
    Type,
)

PLAIN = {plain.name: plain for plain in PLAIN_TYPES}

PAIR = NamedTupleType(Symbol("named_tuples", "Pair"), (("first", TENSOR), ("second", PLAIN["int"])))
SINGLE = NamedTupleType(Symbol("named_tuples", "Single"), (("only", TENSOR),))
COLOUR = OtherType(Symbol("named_tuples", "Colour"))

NAMES = [
    "x",
    "y",
    "hidden",
    "args",
    "kwargs",
    "self",
    "self_",
    "this",
    "rpc",
    "torch",
    "device",
    "module",
    "module_rref",
    "ret",
    "ret_",
    "raw",
    "out",
    "call",
    "item",
    "item1",
    "key",
    "value",
    "given",
    "move",
    "to_caller",
    "move_to_caller",
    "remotemod",
    "Tensor",
    "Future",
    "Any",
    "Optional",
    "Union",
    "List",
    "Dict",
    "Tuple",
    "Callable",
    "RemoteModule",
    "RemoteRef",
    "Stub",
    "STUB",
    "OPS",
    "Operator",
    "OMITTED",
    "drop_omitted",
    "result",
    "fork",
    "export",
    "is_scripting",
    "tuple",
    "list",
    "dict",
    "str",
    "int",
    "float",
    "bool",
    "print",
    "builtins",
    "is_device_map_set",
    "Pair",
    "Colour",
    "Single",
    "named_tuples",
    "ref",
    "method",
    "match",
    "case",
    "type",
    "länge",
    "_x",
    "_pack_forward",
    "_remote_forward",
    "_collect_forward",
    "_make_pair",
    "l",
    "O",
    "I",
    "cls",
    "None_",
    "class_",
    "TYPE_CHECKING",
    "length_of_the_hidden_states_of_the_whole_batch",
    "a_name_that_is_quite_a_bit_longer_than_others",
]
METHODS = [
    "encode",
    "int",
    "list",
    "tuple",
    "call",
    "reset",
    "Tensor",
    "torch",
    "Pair",
    "given",
    "a",
]

leaves = st.sampled_from(
    [
        *(TENSOR, ANY, PAIR, SINGLE, COLOUR),
        *(plain for name, plain in PLAIN.items() if name not in ("None", "Number")),
    ]
)
styles = st.sampled_from(["typing", "builtin"])


def _deeper(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    return st.one_of(
        st.builds(ListType, inner, styles),
        st.builds(DictType, st.sampled_from([PLAIN["str"], PLAIN["int"]]), inner, styles),
        st.builds(lambda i, s: union((i, NONE), s), inner, styles),
        st.builds(lambda i, s: union(tuple(i), s), st.lists(inner, min_size=2, max_size=3), styles),
        st.builds(
            lambda i, s: TupleType(tuple(i), style=s),
            st.lists(inner, min_size=1, max_size=3),
            styles,
        ),
        st.builds(lambda i, s: TupleType((i,), variadic=True, style=s), inner, styles),
    )


types = st.recursive(leaves, _deeper, max_leaves=4)

literals = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(st.characters(codec="utf-8"), max_size=8),
        st.text("'\"\\n ", max_size=6),
        st.binary(max_size=4),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=2),
    ),
    max_leaves=4,
)


def _literal(value: object) -> Default:
    from remotemod.interface.defaults import from_value

    return from_value(value)


defaults = st.one_of(
    literals.map(_literal),
    st.just(Default("named_tuples.Colour.RED", "reference", ("named_tuples",))),
    st.just(Default("(torch.float32, 'a')", "reference", ("torch",))),
    st.just(Default("torch.device('cpu')", "reference", ("torch",))),
    st.just(Default.opaque("object()")),
)


@st.composite
def signatures(draw: st.DrawFn, *, scriptable: bool = False) -> tuple[Argument, ...]:
    """Parameters in an order that Python allows."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=6))
    kinds = [Kind.POSITIONAL_OR_KEYWORD, Kind.KEYWORD_ONLY] if scriptable else list(Kind)
    chosen = sorted((draw(st.sampled_from(kinds)) for _ in names), key=lambda k: k.value)
    arguments: list[Argument] = []
    optional = False
    for name, kind in zip(names, chosen, strict=True):
        variadic = kind in (Kind.VAR_POSITIONAL, Kind.VAR_KEYWORD)
        if variadic and any(a.kind is kind for a in arguments):
            continue
        default = None
        if not variadic and (draw(st.booleans()) or (optional and kind.value <= 1)):
            default = draw(defaults)
            optional = True
        annotated = scriptable or draw(st.booleans())
        tree = draw(types) if annotated else ANY
        arguments.append(Argument(name, tree, kind, default, annotated))
    return tuple(arguments)


docs = st.one_of(
    st.none(), st.text(max_size=30), st.sampled_from(['"a"', "a\\", '"""', "a\n\n  b\n", "{{ x }}"])
)


@st.composite
def interfaces(draw: st.DrawFn, *, scriptable: bool = False) -> Interface:
    """An interface with a forward and perhaps more methods."""
    others = draw(st.lists(st.sampled_from(METHODS), unique=True, max_size=2))
    methods = []
    for name in ["forward", *others]:
        annotated = scriptable or draw(st.booleans())
        returns = draw(st.one_of(types, st.just(NONE))) if annotated else ANY
        arguments = draw(signatures(scriptable=scriptable))
        methods.append(Method(name, arguments, returns, annotated, draw(docs)))
    name = draw(st.sampled_from(["Backbone", "Module", "Ref", "_Private", "X"]))
    origin = "interface" if scriptable else "module"
    return Interface(name, "somewhere", name, origin, tuple(methods), draw(docs))
