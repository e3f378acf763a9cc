"""The calls that are in flight on a connection, and their futures."""

from __future__ import annotations

from typing import Any

from remotemod.future import Driver, Future

__all__ = ["PendingCall", "PendingCalls"]


class PendingCall(Future[Any]):
    """The future of a call over a connection.

    Args:
        call: its number.
        what: names it in error messages.
        driver: the connection.
        deadline: the ``time.monotonic()`` at which it fails; None for never.
    """

    __slots__ = ("call",)

    def __init__(self, call: int, what: str, driver: Driver, deadline: float | None) -> None:
        super().__init__(what, driver, deadline)
        self.call = call


class PendingCalls(dict[int, PendingCall | None]):
    """Calls by their numbers; None stands for a call whose caller reads the reply itself."""

    __slots__ = ()

    def futures(self) -> list[PendingCall]:
        """The futures of the calls that have one."""
        return [future for future in list(self.values()) if future is not None]

    def expire(self) -> None:
        """Fails the calls whose deadline has passed: it may be that no thread waits for them."""
        for future in self.futures():
            future.expire()

    def fail(self, error: Exception) -> None:
        """Fails all calls."""
        while self:
            try:
                _, future = self.popitem()
            except KeyError:  # another thread was faster
                return
            if future is not None:
                future.set_exception(error)
