"""Torch's futures as ours, and its errors as ours."""

from __future__ import annotations

import importlib
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from remotemod.backends.torch_rpc.owner import CODEC
from remotemod.errors import DeadlineExceeded, PlacementError, RemoteModError, WorkerLost
from remotemod.runtime.future import Future
from remotemod.wire.failure import Failure, unpack_failure

__all__ = ["TorchDriver", "translated"]

Finish = Callable[[Any], Any]
"""Makes the result of a call of what torch's future holds; may raise what the call raised."""


class TorchDriver:
    """Makes progress for a future of ours over one of torch's.

    Args:
        inner: torch's future.
        what: names the call in error messages.
        finish: makes the result.
        told: makes our error of torch's.

    Attributes:
        future: ours.
    """

    def __init__(
        self, inner: Any, what: str, finish: Finish, told: Callable[[Exception], Exception]
    ) -> None:
        self.future: Future[Any] = Future(what, self)
        self._inner = inner
        self._finish = finish
        self._told = told
        self._arrived: threading.Event | None = None
        self._lock = threading.Lock()

    def drive(self, future: Future[Any], until: float | None) -> None:
        """Waits until torch's future is done or the time is over."""
        if until is not None and not self._inner.done():
            left = until - time.monotonic()
            if left <= 0 or not self._watch().wait(left):
                return
        self._complete()

    def attend(self, future: Future[Any]) -> None:
        """Completes the future as soon as torch's is done, though nobody waits."""
        self._watch()

    def forget(self, future: Future[Any]) -> None:
        """Torch's RPC has no way to take a call back; its result is dropped."""

    def _watch(self) -> threading.Event:
        with self._lock:
            if self._arrived is not None:
                return self._arrived
            arrived = self._arrived = threading.Event()

        def finish(_: Any) -> None:
            self._complete()
            arrived.set()

        self._inner.add_done_callback(finish)
        return arrived

    def _complete(self) -> None:
        future = self.future
        if future.settled:
            return
        try:
            value = self._finish(self._inner.wait())
        except Exception as error:
            future.set_exception(self._told(error))
        else:
            future.set_result(value)


_SCRIPT_ERROR = re.compile(r"^(?:([\w.]+)\.)?(\w+): (.*)\Z", re.MULTILINE | re.DOTALL)


def translated(error: Exception, worker: str) -> Exception:
    """What torch's RPC raised, as ours; an error that is not torch's own is returned as it is."""
    if isinstance(error, RemoteModError) or not isinstance(error, RuntimeError):
        return error
    text = str(error)
    made: Exception
    if text.startswith("RPCErr:1:"):
        made = DeadlineExceeded(f"a call to '{worker}' did not finish in time: {text[9:]}")
    elif "tensorpipe/" in text or "RPC agent is not running" in text:
        made = WorkerLost(f"worker '{worker}' is gone: {text}", worker)
    elif "could not find destination" in text:
        made = PlacementError(f"there is no worker '{worker}': {text}")
    elif text.startswith("RPC has not been initialized"):
        made = RemoteModError("the cluster is closed: torch's RPC was shut down in this process")
    elif "in the TorchScript interpreter" in text:
        made = unpack_failure(_script_failure(text, worker), CODEC)
    else:
        return error
    made.__cause__ = error
    return made


def _script_failure(text: str, worker: str) -> Failure:
    """What a scripted module raised; TorchScript tells the type and the message on its last lines."""
    at = text.rfind("<--- HERE")
    found = _SCRIPT_ERROR.search(text, text.find("\n", at) if at >= 0 else 0)
    module, name, message = found.groups() if found else (None, "RuntimeError", text)
    reference = _known(module or "builtins", name)
    return Failure(
        worker=worker,
        type_name=name if reference[0] == "builtins" else ".".join(reference),
        message=message.strip(),
        traceback=text,
        reference=reference,
        type_parcel=None,
        arguments=[CODEC.encode(message.strip())],
    )


def _known(module: str, name: str) -> tuple[str, str]:
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return "builtins", "RuntimeError"
    is_error = isinstance(cls, type) and issubclass(cls, Exception)
    return (module, name) if is_error else ("builtins", "RuntimeError")
