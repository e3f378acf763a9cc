"""Exceptions on the wire: packed on the worker, unpacked into a RemoteError that is also of their own type.

The parts of an exception that are values (its arguments, its attributes, a class that travels by value) are encoded
one by one, so that one which cannot be sent, or not be built here, costs no more than itself.
A type that travels by reference is looked up among the modules imported here and never imported: an ``except`` clause
that could name it has imported it already.
"""

from __future__ import annotations

import copyreg
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from remotemod.errors import ProtocolError, RemoteError
from remotemod.objects import find_or_none
from remotemod.process import cached
from remotemod.trees.objects import is_built_in, slot_names
from remotemod.wire.code import reference_to
from remotemod.wire.codec import Codec
from remotemod.wire.walk import name_of

__all__ = ["Failure", "pack_failure", "unpack_failure"]

Parcel = tuple[bytes, list[Tensor]]
"""One value as its own header and frames."""

_OWN_ATTRIBUTES = ("worker", "remote_type", "remote_message", "remote_traceback")

_NEVER_COMBINED = (StopIteration, StopAsyncIteration)
"""Raised anew they would end someone's loop, and no future accepts them."""


@dataclass(frozen=True)
class Failure:
    """What is known of an exception after it was taken apart; a value that any codec carries."""

    worker: str
    type_name: str
    message: str
    traceback: str
    reference: tuple[str, str] | None
    type_parcel: Parcel | None
    arguments: list[Parcel]
    attributes: dict[str, Parcel] = field(default_factory=dict)


def pack_failure(error: BaseException, worker: str, codec: Codec) -> Failure:
    """Take an exception apart into what ``codec`` can encode; never raises on account of it."""
    cls = _original_type(type(error))
    reference = reference_to(cls)
    arguments, attributes = _content_of(error)
    parcels = {name: _parcel(item, codec) for name, item in attributes.items()}
    return Failure(
        worker=worker,
        type_name=name_of(cls),
        message=_message_of(error),
        traceback="".join(traceback.format_exception(error)),
        reference=reference,
        type_parcel=_parcel(cls, codec) if reference is None else None,
        arguments=[_parcel(item, codec) or codec.encode(_text(repr, item)) for item in arguments],
        attributes={name: parcel for name, parcel in parcels.items() if parcel is not None},
    )


def _original_type(cls: type) -> type:
    """See through a type that ``unpack_failure`` made, so that an error may pass several workers."""
    return cls.__bases__[1] if "_remotemod_combined" in vars(cls) else cls


def _message_of(error: BaseException) -> str:
    if isinstance(error, RemoteError):
        return error.remote_message
    return _text(str, error)


def _text(convert: Callable[[Any], str], value: object) -> str:
    try:
        return convert(value)
    except Exception as problem:
        return f"<{name_of(type(value))}, which cannot be shown: {name_of(type(problem))}>"


def _content_of(error: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Take arguments and attributes as pickle would, but past any ``__reduce__`` of the type's own."""
    cls: Any = type(error)
    arguments = error.args
    attributes: dict[str, Any] = {}
    reduced = _built_in_base(cls).__reduce__(error)
    if isinstance(reduced, tuple):
        arguments = reduced[1]
        attributes = dict(reduced[2]) if len(reduced) > 2 and reduced[2] else {}
    for name in slot_names(cls):
        if hasattr(error, name):
            attributes[name] = getattr(error, name)
    for name in _OWN_ATTRIBUTES if isinstance(error, RemoteError) else ():
        attributes.pop(name, None)
    return arguments, attributes


def _built_in_base(cls: type) -> Any:
    return next(filter(is_built_in, cls.__mro__))


def _parcel(value: Any, codec: Codec) -> Parcel | None:
    try:
        return codec.encode(value)
    except Exception:  # whatever a foreign object raises when it is taken apart, the failure itself must get through
        return None


def unpack_failure(failure: Any, codec: Codec) -> RemoteError:
    """Build the error to raise here: a RemoteError, and of the original type where that can be had."""
    if not isinstance(failure, Failure):
        raise ProtocolError(f"a failure was expected, not a {name_of(type(failure))}")
    try:
        return _build(failure, codec)
    except (AttributeError, TypeError, ValueError) as problem:
        raise ProtocolError(f"a damaged failure arrived: {problem}") from problem


def _build(failure: Failure, codec: Codec) -> RemoteError:
    own = {
        "worker": str(failure.worker),
        "remote_type": str(failure.type_name),
        "remote_message": str(failure.message),
        "remote_traceback": str(failure.traceback),
    }
    arguments = tuple(_open(parcel, codec) for parcel in failure.arguments)
    attributes = {name: _open(parcel, codec) for name, parcel in failure.attributes.items()}
    original = _find_type(failure, codec)
    if original is not None:
        try:
            return _make(_combine(original), arguments, attributes | own)
        except Exception:  # a type may forbid being combined, or its arguments did not get through
            pass
    return _make(RemoteError, arguments, own)


def _open(parcel: Parcel, codec: Codec) -> Any:
    try:
        return codec.decode(*parcel)
    except ProtocolError as problem:
        return f"<cannot be built here: {problem}>"


def _find_type(failure: Failure, codec: Codec) -> Any:
    found = None
    if failure.reference is not None:
        found = find_or_none(*failure.reference)
    elif failure.type_parcel is not None:
        found = _open(failure.type_parcel, codec)
    if not isinstance(found, type) or not issubclass(found, Exception):
        return None
    return None if issubclass(found, _NEVER_COMBINED) else found


@cached(maxsize=256)
def _combine(original: Any) -> type[RemoteError]:
    """Derive, once for each type, the class that is both a RemoteError and the original."""
    if issubclass(RemoteError, original):
        return RemoteError
    namespace = {
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
        "__reduce__": _reduce,
        "_remotemod_combined": True,
    }
    return types.new_class(
        original.__name__,
        (RemoteError, original),
        {"metaclass": _Combined},
        exec_body=lambda body: body.update(namespace),
    )


class _Combined(type):
    """The type of such classes, by which pickle makes them anew instead of looking for them by name."""


def _reduce_combined(cls: _Combined) -> Any:
    return _combine, (cls.__bases__[1],)


copyreg.pickle(_Combined, _reduce_combined)


def _make(
    cls: type[RemoteError], arguments: tuple[Any, ...], attributes: dict[str, Any]
) -> RemoteError:
    """Build an exception by the built-in parts of its class alone, whatever its own ``__init__`` asks for."""
    base = _built_in_base(cls)
    error: RemoteError = base.__new__(cls, *arguments)
    base.__init__(error, *arguments)
    for name, value in attributes.items():
        object.__setattr__(error, name, value)
    return error


def _reduce(error: RemoteError) -> tuple[Any, ...]:
    arguments, attributes = _content_of(error)
    own = {name: getattr(error, name) for name in _OWN_ATTRIBUTES}
    return _rebuild, (_original_type(type(error)), arguments, attributes | own)


def _rebuild(original: Any, arguments: tuple[Any, ...], attributes: dict[str, Any]) -> RemoteError:
    return _make(_combine(original), arguments, attributes)
