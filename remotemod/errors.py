"""The error tree: every failure that remotemod raises on purpose is one of these."""

from __future__ import annotations

from concurrent.futures import CancelledError

__all__ = [
    "ArchiveError",
    "BackendUnavailable",
    "Cancelled",
    "DeadlineExceeded",
    "GraphError",
    "InterfaceError",
    "InterfaceMismatch",
    "PlacementError",
    "ProtocolError",
    "RemoteError",
    "RemoteModError",
    "WorkerLost",
]


class RemoteModError(Exception):
    """Base of every error that remotemod raises on purpose."""


class InterfaceError(RemoteModError):
    """An interface cannot be found, read, or turned into a stub.

    Args:
        what: what is wrong, in one sentence.
        how: the hint: what to do about it, in one sentence.
        file: the source file it was seen in, if there is one.
        line: the 1-based line in that file.
    """

    def __init__(
        self, what: str, *, how: str = "", file: str | None = None, line: int | None = None
    ) -> None:
        self.what = what
        self.how = how
        self.file = file
        self.line = line
        super().__init__(what)

    def __str__(self) -> str:
        place = ""
        if self.file is not None:
            place = f"{self.file}:{self.line}: " if self.line is not None else f"{self.file}: "
        return f"{place}{self.what}" + (f"\n  hint: {self.how}" if self.how else "")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_interface_error, (self.what, self.how, self.file, self.line)


def _rebuild_interface_error(
    what: str, how: str, file: str | None, line: int | None
) -> InterfaceError:
    return InterfaceError(what, how=how, file=file, line=line)


class InterfaceMismatch(RemoteModError):
    """A stub and the code that runs it disagree: another ABI, or another interface digest."""


class ArchiveError(RemoteModError, ValueError):
    """A file is no TorchScript archive, or not a whole one; or a model cannot be saved as one."""


class BackendUnavailable(RemoteModError):
    """A backend cannot run here; the message says what to install or which one to use."""


class PlacementError(RemoteModError, ValueError):
    """A remote device string is malformed, or names a worker or rank that does not exist."""


class ProtocolError(RemoteModError):
    """Bytes on the wire, or a value meant for it, are not what the codec can carry."""


class WorkerLost(RemoteModError, ConnectionError):
    """The worker that owned a call is gone.

    Args:
        message: what happened.
        worker: the lost worker's name.
        signal: the number of the signal that killed it; None if it exited by itself or that is unknown.
        stderr: the last lines that it wrote to stderr, as far as they are known.
    """

    def __init__(
        self,
        message: str,
        worker: str = "",
        *,
        signal: int | None = None,
        stderr: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.worker = worker
        self.signal = signal
        self.stderr = stderr

    def __str__(self) -> str:
        lines = "".join(f"\n    {line}" for line in self.stderr)
        return super().__str__() + (f"\n  the last of its stderr:{lines}" if lines else "")


class GraphError(RemoteModError, RuntimeError):
    """Derivatives cannot cross processes: the owner has released the graph, or they are of a kind that cannot."""


class DeadlineExceeded(RemoteModError, TimeoutError):
    """A call did not finish within its timeout; a late result is dropped."""


class Cancelled(RemoteModError, CancelledError):
    """The call was cancelled before its result was there."""


class RemoteError(RemoteModError):
    """An exception that was raised on a worker.

    The caught error is also an instance of the remote exception's own type where that type
    is available in this process, so ``except ValueError`` catches a remote ``ValueError``.

    Attributes:
        worker: the name of the worker that raised.
        remote_type: the dotted name of the remote exception's type.
        remote_message: the remote exception's own message.
        remote_traceback: the formatted traceback of the worker.
    """

    worker: str = ""
    remote_type: str = ""
    remote_message: str = ""
    remote_traceback: str = ""

    def __str__(self) -> str:
        head = self.remote_message or self.remote_type
        if not self.remote_traceback:
            return head
        return f"{head}\n\nRemote traceback (worker {self.worker}):\n{self.remote_traceback}"
