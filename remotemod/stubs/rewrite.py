"""Computes, from a type, the expression that rewrites parts of a value and keeps its structure."""

from __future__ import annotations

from collections.abc import Callable

from remotemod.interface.types import (
    AnyType,
    DictType,
    ListType,
    NamedTupleType,
    OptionalType,
    OtherType,
    TensorType,
    TupleType,
    Type,
    UnionType,
)

__all__ = ["carries_tensors", "flatten", "holds_named_tuples", "move", "rebuild"]

Leaf = Callable[[Type, str], "str | None"]
"""Rewrites the value of a node by itself; None hands its children to the walk."""


def carries_tensors(tree: Type) -> bool:
    """Whether a value of this type may hold a tensor; an unknown class may."""
    return any(isinstance(t, (TensorType, AnyType, OtherType)) for t in tree.walk())


def holds_named_tuples(tree: Type) -> bool:
    """Whether there is a named tuple anywhere in the type."""
    return any(isinstance(t, NamedTupleType) for t in tree.walk())


def _is_exact(tree: Type) -> bool:
    """Whether the type alone says where the tensors are."""
    return not any(
        isinstance(t, (AnyType, OtherType))
        or (isinstance(t, UnionType) and carries_tensors(t))
        or (isinstance(t, TupleType) and not t.items)
        for t in tree.walk()
    )


def move(tree: Type, value: str, tensor: Callable[[str], str], whatever: Callable[[str], str]) -> str:
    """The expression that moves ``value``'s tensors.

    Args:
        tree: the value's type.
        value: a Python expression that may be repeated (a name, an attribute, an element).
        tensor: makes the expression that moves one tensor.
        whatever: makes the expression that moves a value of which the type says too little.

    Returns:
        An expression; ``value`` itself where there is nothing to move.
    """
    if not carries_tensors(tree):
        return value
    if not _is_exact(tree):
        return whatever(value)
    return _rewrite(
        tree, value, carries_tensors, lambda t, v: tensor(v) if isinstance(t, TensorType) else None
    )


def rebuild(tree: Type, value: str, spelled: Callable[[NamedTupleType], str]) -> str:
    """The expression that makes named tuples again out of the plain tuples that operators return.

    Args:
        tree: the value's type.
        value: a Python (and TorchScript) expression that may be repeated.
        spelled: the name under which a named tuple's class is there.
    """

    def leaf(node: Type, inner: str) -> str | None:
        if not isinstance(node, NamedTupleType):
            return None
        fields = [
            _rewrite(t, f"{inner}[{i}]", holds_named_tuples, leaf)
            for i, (_, t) in enumerate(node.fields)
        ]
        return f"{spelled(node)}({', '.join(fields)})"

    return _rewrite(tree, value, holds_named_tuples, leaf)


def flatten(tree: Type, value: str) -> str:
    """The expression that makes plain tuples of named ones, which is what operators take."""

    def leaf(node: Type, inner: str) -> str | None:
        if not isinstance(node, NamedTupleType):
            return None
        fields = [_rewrite(t, f"{inner}.{n}", holds_named_tuples, leaf) for n, t in node.fields]
        return f"({', '.join(fields)}{',' if len(fields) == 1 else ''})"

    return _rewrite(tree, value, holds_named_tuples, leaf)


def _rewrite(
    tree: Type, value: str, changes: Callable[[Type], bool], leaf: Leaf, depth: int = 0
) -> str:
    if not changes(tree):
        return value
    done = leaf(tree, value)
    if done is not None:
        return done
    item = f"item{depth or ''}"
    key = f"key{depth or ''}"

    def sub(inner: Type, name: str, deeper: int) -> str:
        return _rewrite(inner, name, changes, leaf, deeper)

    def part(inner: Type, name: str) -> str:
        moved = sub(inner, name, depth)
        return f"({moved})" if isinstance(inner, OptionalType) and moved != name else moved

    match tree:
        case OptionalType(item=inner):
            return f"None if {value} is None else {sub(inner, value, depth)}"
        case ListType(item=inner):
            return f"[{sub(inner, item, depth + 1)} for {item} in {value}]"
        case DictType(value=inner):
            moved = sub(inner, item, depth + 1)
            return f"{{{key}: {moved} for {key}, {item} in {value}.items()}}"
        case TupleType(items=(inner,), variadic=True):
            return f"tuple({sub(inner, item, depth + 1)} for {item} in {value})"
        case TupleType(items=items):
            moves = [part(t, f"{value}[{i}]") for i, t in enumerate(items)]
            return f"({', '.join(moves)}{',' if len(moves) == 1 else ''})"
        case NamedTupleType(fields=fields):
            moves = [f"{n}={part(t, f'{value}.{n}')}" for n, t in fields if changes(t)]
            return f"{value}._replace({', '.join(moves)})"
    raise TypeError(f"no rewriting for {tree}")
