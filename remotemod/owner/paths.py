"""Where a worker imports from: what its callers can import, it can."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

__all__ = ["extend_path"]


def extend_path(entries: Sequence[str], first: bool) -> None:
    """On a worker: imports from these places too.

    Args:
        entries: absolute paths.
        first: whether they come before those that are known.
    """
    missing = [entry for entry in entries if entry not in sys.path]
    place = 0 if first else len(sys.path)
    sys.path[place:place] = missing
    importlib.invalidate_caches()
