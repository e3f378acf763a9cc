"""Take values apart into tensors, whole numbers and a form that graphs can hold as text.

A form is made of lists and plain values alone, and all of this is written so that dynamo can follow it.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import itertools
import json
import types
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from remotemod.errors import ProtocolError
from remotemod.objects import ObjectNotFound, find, find_or_none, split_name
from remotemod.process import Slot, cached, slot
from remotemod.trees import tensors_of
from remotemod.wire.codec import Codec

__all__ = ["Form", "constant", "form_of", "put_together", "take_apart", "text_of"]

Form = list[Any]
"""``[kind, …]``: see :func:`take_apart`."""

_F = TypeVar("_F", bound=Callable[..., Any])


def constant(function: _F) -> _F:
    """Mark what is done while dynamo traces, and not again."""
    mark: Any = torch.compiler.assume_constant_result  # untyped in torch
    marked: _F = mark(function)
    return marked


def take_apart(value: Any, tensors: list[Tensor], sizes: list[Any] | None) -> Form:
    """The form of a value.

    Args:
        value: containers, named tuples, dataclasses, enums and plain values, with tensors in them.
        tensors: gets its tensors.
        sizes: gets its whole numbers, which may be symbolic; without it they stay in the form.
    """
    if isinstance(value, Tensor):
        tensors.append(value)
        return ["tensor", len(tensors) - 1]
    if value is None or type(value) in (bool, str, float):
        return ["is", value]
    if type(value) is int or isinstance(value, torch.SymInt):
        if sizes is None:
            return ["is", int(value)]
        sizes.append(value)
        return ["size", len(sizes) - 1]
    if type(value) in (list, tuple, torch.Size):
        kind = "list" if type(value) is list else "tuple"
        return [kind, [take_apart(item, tensors, sizes) for item in value]]
    if type(value) in (dict, OrderedDict):
        kind = "dict" if type(value) is dict else "ordered"
        keys = [take_apart(key, tensors, None) for key in value]
        return [kind, keys, [take_apart(item, tensors, sizes) for item in value.values()]]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        items = [take_apart(item, tensors, sizes) for item in value]
        return ["named", _name_of(type(value)), items]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        items = [take_apart(getattr(value, name), tensors, sizes) for name in names]
        return ["data", _name_of(type(value)), names, items]
    return ["other", _name_of_constant(value)]


def put_together(form: Form, tensors: Sequence[Any], sizes: Sequence[Any]) -> Any:
    """The value of a form, with these tensors and sizes in it."""
    kind = form[0]
    if kind == "is":
        return form[1]
    if kind == "tensor":
        return tensors[form[1]]
    if kind == "size":
        return sizes[form[1]]
    if kind == "other":
        return _named(form[1])
    items = [put_together(item, tensors, sizes) for item in form[-1]]
    if kind == "list":
        return items
    if kind == "tuple":
        return tuple(items)
    if kind == "named":
        return _named(form[1])(*items)
    if kind == "data":
        return _named(form[1])(**dict(zip(form[2], items, strict=True)))
    keys = [put_together(key, tensors, sizes) for key in form[1]]
    pairs = zip(keys, items, strict=True)
    return dict(pairs) if kind == "dict" else OrderedDict(pairs)


def text_of(form: Form, travels: bool, name: str) -> str:
    """A form as text.

    Args:
        form: the form.
        travels: whether the text must mean the same in another process.
        name: the method, for errors.

    Raises:
        ProtocolError: it must travel, and holds a name that has a meaning in this process alone.
    """
    return (
        _text(form, travels, name) + ""
    )  # dynamo would guard a result that is used as it is, and cannot


@constant
def _text(form: Form, travels: bool, name: str) -> str:
    text = json.dumps(form, separators=(",", ":"))
    for local_name, value in _LOCAL.value.items() if travels else ():
        if f'"{local_name}"' in text:
            raise ProtocolError(
                f"a call of {name} passes {value!r:.60}, which cannot be written into a program for other processes; "
                "put its class at the top of a module"
            )
    return text


@cached(maxsize=1024)
def form_of(text: str) -> Form:
    """The form that a text is of."""
    form: Form = json.loads(text)
    return form


# --- constants ---------------------------------------------------------------------------------

_CODEC = Codec()
# Graphs go on naming these, so they last as long as the process.
_LOCAL: Slot[dict[str, Any]] = slot(
    "the values that only this process's graphs can name", dict, lasting=True
)
_NUMBERS: Slot[itertools.count[int]] = slot(
    "numbers them", lambda: itertools.count(1), lasting=True
)


def _name_of(value: Any) -> str:
    """A class or a constant as text."""
    return (
        _constant_name(value) + ""
    )  # dynamo would guard a result that is used as it is, and cannot


_CONSTANTS = (
    enum.Enum,
    type,
    complex,
    bytes,
    slice,
    range,
    frozenset,
    torch.dtype,
    torch.device,
    torch.layout,
    torch.memory_format,
    types.FunctionType,
    types.BuiltinFunctionType,
)


def _name_of_constant(value: Any) -> str:
    _check_constant(value)
    return _name_of(value)


@constant
def _check_constant(value: Any) -> None:
    if not isinstance(value, _CONSTANTS):
        raise ProtocolError(
            f"an object of class {type(value).__name__} cannot be an argument or a result of a remote call in a graph: "
            "pass tensors, numbers, text, enums, dtypes, and lists, dicts, named tuples and dataclasses of them"
        )
    if any(tensor.requires_grad for tensor in tensors_of(value)):
        raise ProtocolError(
            f"a {type(value).__name__} that holds a tensor which requires grad cannot be an argument or a result of a "
            "remote call in a graph: pass the tensor by itself"
        )


@constant
def _constant_name(value: Any) -> str:
    try:
        if isinstance(value, type):
            main = value.__module__ == "__main__"  # another process has another one
            if not main and find_or_none(value.__module__, value.__qualname__) is value:
                return f"class {value.__module__}:{value.__qualname__}"
        else:
            header, frames = _CODEC.encode(value)
            if not frames:
                return f"value {base64.b85encode(header).decode()}"
    except (ProtocolError, AttributeError, KeyError):
        pass
    for name, local in _LOCAL.value.items():
        if local is value:
            return name
    name = f"here {next(_NUMBERS.value)}"
    _LOCAL.value[name] = value
    return name


class _NamedValues:
    """The values that forms name, as attributes: dynamo follows these, and no results of functions that it skips."""


_NAMED = _NamedValues()


def _named(name: str) -> Any:
    """The value that :func:`_name_of` has named."""
    return getattr(_NAMED, _key(name) + "")


@constant
def _key(name: str) -> str:
    """The attribute for a named value; dynamo takes no dots in it."""
    key = name.encode().hex()
    if not hasattr(_NAMED, key):
        setattr(_NAMED, key, _find(name))
    return key


def _find(name: str) -> Any:
    kind, _, rest = name.partition(" ")
    if kind == "here":
        return _LOCAL.value[name]
    if kind == "value":
        return _CODEC.decode(base64.b85decode(rest), [])
    module, qualname = split_name(rest)
    try:
        return find(module, qualname)
    except ObjectNotFound as error:
        raise ProtocolError(
            f"the program passes a {module}.{qualname}, and this process has not imported it: import {module} first"
        ) from error
