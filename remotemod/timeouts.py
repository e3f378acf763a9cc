"""Turn what a user says of time into the seconds that a call may take, and these into a moment.

A timeout is a number of seconds. None leaves it to the next: a call asks its handle, a handle its cluster, a cluster its
engine. A thread that only waits then waits as long as the call may take. ``math.inf`` is no bound at all.
"""

from __future__ import annotations

import math
import time
from numbers import Real

__all__ = ["deadline_after", "resolve_timeout"]

_LONGEST = 1e6


def resolve_timeout(timeout: float | None, otherwise: float | None = None) -> float | None:
    """Return the seconds that a call may take: ``timeout``, or ``otherwise`` where that is None.

    Args:
        timeout: what was said for a call, a handle or a cluster.
        otherwise: what counts where nothing was said.

    Returns:
        Seconds; ``math.inf`` for no bound, None where nobody has said anything.

    Raises:
        TypeError: ``timeout`` is no number.
        ValueError: it is negative, or not a number (NaN).
    """
    if timeout is None:
        return otherwise
    seconds = _seconds(timeout)
    if seconds < 0:
        raise ValueError(f"a timeout must not be negative; got {timeout!r} seconds")
    return seconds


def deadline_after(timeout: float | None) -> float | None:
    """Return the ``time.monotonic()`` at which ``timeout`` seconds are over; None for no bound.

    A bound of weeks is none either: the system's own waits cannot count so far. A negative timeout is over already, as it is
    for the standard library's futures.

    Raises:
        TypeError: ``timeout`` is no number.
        ValueError: it is not a number (NaN).
    """
    if timeout is None:
        return None
    seconds = timeout if type(timeout) is float else _seconds(timeout)
    if seconds <= _LONGEST:
        return time.monotonic() + seconds
    _seconds(seconds)  # not a number?
    return None


def _seconds(timeout: object) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, Real):
        raise TypeError(
            f"a timeout is a number of seconds (math.inf: no bound), or None; got {type(timeout).__name__} {timeout!r:.60}"
        )
    seconds = float(timeout)
    if math.isnan(seconds):
        raise ValueError("a timeout must be a number of seconds; got nan")
    return seconds
