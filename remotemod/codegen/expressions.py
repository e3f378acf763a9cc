"""Compute, from a type, the expression that rewrites parts of a value and keeps its structure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

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

__all__ = ["Names", "carries_tensors", "holds_named_tuples", "move", "rewrite"]

Leaf = Callable[[Type, str], "str | None"]
"""Rewrites the value of a node by itself; None leaves its children to the walk."""


class Names(Protocol):
    """A source of names that no variable of the function at hand has."""

    def local(self, wanted: str) -> str:
        """A name like ``wanted`` for a new variable."""

    def hides(self, builtin: str) -> bool:
        """Whether a builtin's name means something else."""


def carries_tensors(tree: Type) -> bool:
    """Whether a value of this type may hold a tensor; an unknown class may."""
    return any(isinstance(t, (TensorType, AnyType, OtherType)) for t in tree.walk())


def holds_named_tuples(tree: Type) -> bool:
    """Whether there is a named tuple anywhere in the type."""
    return any(isinstance(t, NamedTupleType) for t in tree.walk())


def _is_exact(tree: Type) -> bool:
    """Whether the type alone shows where the tensors are."""
    return not any(
        isinstance(t, (AnyType, OtherType))
        or (isinstance(t, UnionType) and carries_tensors(t))
        or (isinstance(t, TupleType) and not t.items)
        for t in tree.walk()
    )


def move(tree: Type, value: str, names: Names, tensor: Callable[[str], str]) -> str | None:
    """The expression that moves ``value``'s tensors.

    Args:
        tree: the value's type.
        value: a Python expression that may be repeated (a name, an attribute, an element).
        names: names the variables of comprehensions.
        tensor: makes the expression that moves one tensor.

    Returns:
        An expression, which is ``value`` itself where there is nothing to move; None where the type
        does not say where the tensors are.
    """
    if not carries_tensors(tree):
        return value
    if not _is_exact(tree):
        return None

    def leaf(node: Type, inner: str) -> str | None:
        return tensor(inner) if isinstance(node, TensorType) else None

    return rewrite(tree, value, names, carries_tensors, leaf)


def rewrite(
    tree: Type,
    value: str,
    names: Names,
    changes: Callable[[Type], bool],
    leaf: Leaf,
    depth: int = 0,
) -> str:
    """The expression that rewrites the parts of ``value`` that ``changes`` picks and keeps the rest.

    Args:
        tree: the value's type.
        value: a Python expression that may be repeated.
        names: names the variables of comprehensions.
        changes: whether there is anything to rewrite in a type.
        leaf: rewrites a node by itself.
        depth: how many comprehensions stand around the expression.
    """
    if not changes(tree):
        return value
    rewritten = leaf(tree, value)
    if rewritten is not None:
        return rewritten

    def sub(inner: Type, name: str, deeper: int) -> str:
        return rewrite(inner, name, names, changes, leaf, deeper)

    def part(inner: Type, name: str) -> str:
        moved = sub(inner, name, depth)
        return f"({moved})" if isinstance(inner, OptionalType) and " if " in moved else moved

    match tree:
        case OptionalType(item=inner):
            return f"None if {value} is None else {sub(inner, value, depth)}"
        case ListType(item=inner):
            item = names.local(f"item{depth or ''}")
            return f"[{sub(inner, item, depth + 1)} for {item} in {value}]"
        case DictType(value=inner):
            key, item = names.local(f"key{depth or ''}"), names.local(f"item{depth or ''}")
            moved = sub(inner, item, depth + 1)
            return f"{{{key}: {moved} for {key}, {item} in {value}.items()}}"
        case TupleType(items=(inner,), variadic=True):
            item = names.local(f"item{depth or ''}")
            items_text = f"{sub(inner, item, depth + 1)} for {item} in {value}"
            return f"(*[{items_text}],)" if names.hides("tuple") else f"tuple({items_text})"
        case TupleType(items=items):
            moves = [part(t, f"{value}[{i}]") for i, t in enumerate(items)]
            return f"({', '.join(moves)}{',' if len(moves) == 1 else ''})"
        case NamedTupleType(fields=fields):
            moves = [f"{n}={part(t, f'{value}.{n}')}" for n, t in fields if changes(t)]
            return f"{value}._replace({', '.join(moves)})"
    raise TypeError(f"no rewriting for {tree}")
