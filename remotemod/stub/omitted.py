"""Arguments that the caller omits stay omitted, so that the owner's own default is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["OMITTED", "drop_omitted"]


class _Omitted:
    """The default of a parameter whose real default only the owner knows."""

    def __repr__(self) -> str:
        return "<left to the owner>"

    def __reduce__(self) -> str:
        return "OMITTED"


OMITTED: Any = _Omitted()


def drop_omitted(
    positional: Mapping[str, Any], rest: tuple[Any, ...], keywords: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments that were passed, as ``(args, kwargs)``.

    Args:
        positional: the parameters that may be passed by position, in order.
        rest: the value of ``*args``; empty if one of ``positional`` was omitted.
        keywords: the keyword-only parameters.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    gap = False
    for name, value in positional.items():
        if value is OMITTED:
            gap = True
        elif gap:
            kwargs[name] = value
        else:
            args.append(value)
    kwargs.update((name, value) for name, value in keywords.items() if value is not OMITTED)
    return (*args, *rest), kwargs
