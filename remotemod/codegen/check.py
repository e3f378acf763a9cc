"""Refuse a stub that would not compile, before it reaches a file."""

from __future__ import annotations

from remotemod.codegen.plan import StubPlan
from remotemod.errors import InterfaceError
from remotemod.interface.model import Interface

__all__ = ["check_for_file"]


def check_for_file(plan: StubPlan, text: str) -> None:
    """Check that a stub can stand in a file of its own.

    Raises:
        InterfaceError: the interface names a class that no import can reach, or the text is no Python.
    """
    interface: Interface = plan.interface
    if plan.injected:
        names = ", ".join(f"'{symbol}'" for symbol in plan.injected.values())
        raise InterfaceError(
            f"{interface.name} uses {names}, which no other file can import",
            how="move the class to the top level of an importable module",
            file=interface.file,
            line=interface.line,
        )
    try:
        compile(text, f"stub of {plan.source}", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise InterfaceError(
            f"the stub of {interface.name} would not compile: {error.msg} "
            f"in {(error.text or '').strip()!r}",
            how="report this interface to remotemod; its signature is rendered wrongly",
            file=interface.file,
            line=interface.line,
        ) from error
