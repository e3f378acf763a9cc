"""Exceptions arrive as a RemoteError that is also of their own type."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from remotemod.errors import (
    InterfaceError,
    InterfaceMismatch,
    ProtocolError,
    RemoteError,
    WorkerLost,
)
from remotemod.wire.codec import Codec
from remotemod.wire.failure import pack_failure, unpack_failure

from .shapes_of_data import FrozenError, LonelyError, OddError, SlottedError

plain, trusted = Codec(), Codec(code=True)


def trip(error: BaseException, codec: Codec = plain, worker: str = "ps0") -> Any:
    try:
        raise error
    except BaseException as raised:
        message = codec.encode(pack_failure(raised, worker, codec))
    return unpack_failure(codec.decode(*message), codec)


def unicode_error() -> UnicodeDecodeError:
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad byte")


@pytest.mark.parametrize(
    ("error", "attributes"),
    [
        (ValueError("bad", 3), ()),
        (KeyError("missing"), ()),
        (FileNotFoundError(2, "no such file", "a.txt"), ("errno", "strerror", "filename")),
        (OSError(2, "no", "a", None, "b"), ("errno", "filename2")),
        (unicode_error(), ("encoding", "object", "start", "end", "reason")),
        (ImportError("no", name="mod", path="p"), ("name", "path", "msg")),
        (SyntaxError("bad", ("f.py", 3, 1, "x")), ("filename", "lineno")),
        (OddError(code=7, detail={"a": 1}), ("code", "detail")),
        (SlottedError(9), ("position",)),
        (FrozenError("cold"), ("reason",)),
        (InterfaceMismatch("regenerate"), ()),
        (InterfaceError("what", how="so", file="f.py", line=3), ("what", "how", "file", "line")),
        (torch.cuda.OutOfMemoryError("full"), ()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_own_type_arguments_and_attributes_arrive(
    error: Exception, attributes: tuple[str, ...]
) -> None:
    """It is caught as what it was on the worker, and says the same."""
    got = trip(error)
    assert isinstance(got, RemoteError)
    assert isinstance(got, type(error))
    assert type(got).__name__ == type(error).__name__
    assert got.args == error.args
    assert [getattr(got, name) for name in attributes] == [
        getattr(error, name) for name in attributes
    ]
    assert (got.worker, got.remote_message) == ("ps0", str(error))
    assert got.remote_type.endswith(type(error).__qualname__)
    assert str(got).startswith(str(error))
    assert "Remote traceback (worker ps0):" in str(got)
    assert "raise error" in str(got)


def test_the_same_type_gives_the_same_class() -> None:
    """Classes are made once for each type."""
    assert type(trip(ValueError())) is type(trip(ValueError("x")))


@pytest.mark.parametrize("error", [ValueError("v"), OddError(code=1, detail=2), OSError(5, "io")])
def test_it_can_be_copied_pickled_and_raised_again(error: Exception) -> None:
    """A stored failure may be handed around and raised as often as it is asked for."""
    got = trip(error)
    for twin in (copy.copy(got), copy.deepcopy(got), pickle.loads(pickle.dumps(got))):
        assert (type(twin), twin.args, str(twin)) == (type(got), got.args, str(got))
    for _ in range(2):
        with pytest.raises(type(error)):
            raise got


def test_notes_arrive() -> None:
    """What was added to the exception on its way is kept."""
    error = ValueError("v")
    error.__notes__ = ["while loading"]  # as add_note does from Python 3.11 on
    assert trip(error).__notes__ == ["while loading"]


def test_parts_that_cannot_be_sent_cost_only_themselves() -> None:
    """An argument becomes its repr and an attribute is left out; type and message stay."""
    error = ValueError("bad", object())
    error.lock = object()  # type: ignore[attr-defined]
    error.index = 3  # type: ignore[attr-defined]
    got = trip(error)
    assert isinstance(got, ValueError)
    assert got.args[0] == "bad"
    assert got.args[1].startswith("<object object")
    assert got.index == 3
    assert not hasattr(got, "lock")


@pytest.mark.parametrize(
    "error", [LonelyError("alone"), StopIteration(3), KeyboardInterrupt(), SystemExit(1)], ids=repr
)
def test_types_that_do_not_combine_give_a_plain_remote_error(error: BaseException) -> None:
    """What cannot or must not be raised here as itself is named, not imitated."""
    got = trip(error)
    assert type(got) is RemoteError
    assert got.remote_type.endswith(type(error).__qualname__)


def test_a_local_type_travels_by_value_where_code_may() -> None:
    """With trust the very class arrives; without it a plain RemoteError names the class."""

    class LocalError(LookupError):
        pass

    assert isinstance(trip(LocalError("x"), trusted), LocalError)
    assert type(trip(LocalError("x"))) is RemoteError
    assert "LocalError" in trip(LocalError("x")).remote_type


def test_a_type_only_the_worker_has_is_named() -> None:
    """A module that is not imported here is not imported for the sake of an error."""
    failure = pack_failure(ValueError("v"), "ps0", plain)
    object.__setattr__(failure, "reference", ("not.here", "GoneError"))
    object.__setattr__(failure, "type_name", "not.here.GoneError")
    got = unpack_failure(failure, plain)
    assert type(got) is RemoteError
    assert got.remote_type == "not.here.GoneError"


def test_an_error_may_pass_several_workers() -> None:
    """The type is the first worker's, the traceback tells of both."""
    got = trip(trip(KeyError("k"), worker="inner"), worker="outer")
    assert isinstance(got, KeyError)
    assert type(got).__bases__ == (RemoteError, KeyError)
    assert (got.worker, got.remote_message) == ("outer", "'k'")
    assert "worker inner" in got.remote_traceback


def test_the_raising_worker_wins_over_an_attribute_of_that_name() -> None:
    """A WorkerLost that was raised far away tells where it was raised."""
    got = trip(WorkerLost("gone", worker="ps9", signal=11, stderr=("last", "words")))
    assert isinstance(got, WorkerLost)
    assert isinstance(got, ConnectionError)
    assert got.worker == "ps0"
    assert (got.signal, got.stderr) == (11, ("last", "words"))
    assert "last\n    words" in str(got)


def test_an_error_that_cannot_be_shown_still_arrives() -> None:
    """A broken ``__str__`` does not hide the failure."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert "cannot be shown" in trip(Broken(), trusted).remote_message


def test_something_else_than_a_failure_is_refused() -> None:
    """A value of another kind in the place of a failure is a ProtocolError."""
    with pytest.raises(ProtocolError, match="a failure was expected"):
        unpack_failure({"worker": "x"}, plain)
