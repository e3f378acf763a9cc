"""Refuse stubs that were generated for another stub ABI, and name the command that regenerates them."""

from __future__ import annotations

import linecache
import re
import sys

from remotemod.errors import InterfaceMismatch

__all__ = ["STUB_ABI", "check_abi", "refuse_missing_name"]

STUB_ABI = 3
"""The ABI's number, which rises when generated code and the runtime no longer fit each other."""

_HEADER = re.compile(r"# @?[gG]enerated by remotemod ")
_COMMAND = re.compile(r"# (?:run|regenerate): (remotemod gen .+)\n")
_OLD_ABI = re.compile(r"# stub ABI (\d+),")
_HEADER_LINES = 8


def check_abi(abi: int, interface: str | None) -> None:
    """Check the ABI that the importing stub was generated for.

    Args:
        abi: the ABI that it declares.
        interface: the interface that it declares, as ``module:qualname``.

    Raises:
        InterfaceMismatch: it is not the ABI of this remotemod.
    """
    if abi == STUB_ABI:
        return
    command = _command(_importing_header()) or f"remotemod gen {interface or 'TARGET'} -o DIR"
    raise _mismatch(f"the stub of {interface}", str(abi), abi < STUB_ABI, command)


def refuse_missing_name(name: str) -> None:
    """Raise if the file that imports ``name`` from :mod:`remotemod.abi` is a generated stub.

    The imports of a stub run before its declaration, and other ABIs have other names.

    Raises:
        InterfaceMismatch: it is a stub, and the current ABI has no such name.
    """
    header = _importing_header()
    command = _command(header)
    if command is None or not _HEADER.match(header[0]):
        return
    old = next(filter(None, map(_OLD_ABI.match, header)), None)
    # Headers name the ABI up to ABI 2; since then the declaration alone does.
    abi = old[1] if old else f"above {STUB_ABI}"
    stub = f"the stub in {_importing_file()}, which imports '{name}',"
    raise _mismatch(stub, abi, old is not None, command)


def _mismatch(stub: str, abi: str, is_older: bool, command: str) -> InterfaceMismatch:
    hint = (
        f"regenerate the stub: {command}"
        if is_older
        else f"upgrade remotemod on this side, or regenerate the stub with this version: {command}"
    )
    return InterfaceMismatch(
        f"{stub} was generated for stub ABI {abi}, and this remotemod runs ABI {STUB_ABI}; {hint}"
    )


def _importing_file() -> str:
    """The file of the calling code: the first frame outside of the stub runtime."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") in _RUNTIME:
        frame = frame.f_back
    return frame.f_code.co_filename


_RUNTIME = (__name__, "remotemod.abi", "remotemod.stub.declaration")


def _importing_header() -> list[str]:
    return linecache.getlines(_importing_file())[:_HEADER_LINES] or [""]


def _command(header: list[str]) -> str | None:
    line = next(filter(None, map(_COMMAND.match, header)), None)
    return line[1] if line else None
