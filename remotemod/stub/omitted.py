"""Arguments that the caller left out stay left out, so that the owner's own default counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["LEFT_OUT", "given"]


class _LeftOut:
    """The default of a parameter whose real default only the owner knows."""

    def __repr__(self) -> str:
        return "<left to the owner>"

    def __reduce__(self) -> str:
        return "LEFT_OUT"


LEFT_OUT: Any = _LeftOut()


def given(
    positional: Mapping[str, Any], rest: tuple[Any, ...], keywords: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that were given, as ``(args, kwargs)``.

    Args:
        positional: the parameters that may be given by position, in order.
        rest: what ``*args`` holds; empty if one of ``positional`` was left out.
        keywords: the keyword-only ones.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    gap = False
    for name, value in positional.items():
        if value is LEFT_OUT:
            gap = True
        elif gap:
            kwargs[name] = value
        else:
            args.append(value)
    kwargs.update((name, value) for name, value in keywords.items() if value is not LEFT_OUT)
    return (*args, *rest), kwargs
