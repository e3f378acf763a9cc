"""The user's rules for the shapes that remote methods return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from remotemod.hints import did_you_mean
from remotemod.stub.declaration import Declaration

__all__ = ["Fake", "fakes_of"]

Fake = Callable[..., Any] | Mapping[str, Callable[..., Any]]


def fakes_of(fake: Fake | None, stub: Declaration) -> Mapping[str, Callable[..., Any]]:
    """The rules by method.

    Args:
        fake: a rule for ``forward``, or rules by method.
        stub: declares the methods.

    Raises:
        TypeError: the value is no rule.
        ValueError: there is no such method.
    """
    if fake is None:
        return {}
    rules = {"forward": fake} if callable(fake) else dict(fake)
    for method, rule in rules.items():
        if not callable(rule):
            raise TypeError(
                f"fake must be a function, or a dict of functions by method; got {rule!r:.60} for '{method}'"
            )
        if method not in stub.methods:
            hint = did_you_mean(method, stub.methods, lead="; ")
            raise ValueError(
                f"fake has a rule for '{method}', and {stub.interface} has no such remote method{hint}"
            )
    return rules
