"""Suggest the name that was meant where an error says that there is none of the name that was given."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: str, names: Iterable[str], lead: str = "") -> str:
    """Return ``did you mean 'a' or 'b'?`` for up to three close names; empty where none is close.

    Args:
        name: what was given.
        names: what there is.
        lead: what stands before it, if there is anything to say.
    """
    near = difflib.get_close_matches(name, list(dict.fromkeys(names)))
    return f"{lead}did you mean {' or '.join(map(repr, near))}?" if near else ""
