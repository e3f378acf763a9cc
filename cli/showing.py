"""The show command: print interfaces as tables or JSON."""

from __future__ import annotations

import json
from typing import Any

from remotemod.codegen.targets import read_target
from remotemod.errors import InterfaceError
from remotemod.interface.model import Argument, Interface, Kind, Method

from . import output as terminal

__all__ = ["run"]


def run(targets: list[str], *, as_json: bool, live: bool = False) -> int:
    """Read, print, and return the exit status."""
    interfaces: list[Interface] = []
    status = 0
    for target in targets:
        try:
            interfaces += read_target(target, live=live)
        except InterfaceError as error:
            terminal.error(error)
            status = 1
    if as_json:
        print(json.dumps([_as_dict(i) for i in interfaces], indent=2))
        return status
    for interface in interfaces:
        _print(interface)
    return status


def _print(interface: Interface) -> None:
    from rich.table import Table

    console = terminal.stdout()
    where = f" ({interface.file}:{interface.line})" if interface.file else ""
    console.print(f"{interface.module}:{interface.qualname}", style="bold", markup=False, end="")
    console.print(f"  {interface.origin}, digest {interface.digest}{where}", markup=False)
    table = Table(pad_edge=False)
    for heading in ("method", "argument", "kind", "type", "default"):
        table.add_column(heading, overflow="fold")
    for method in interface.methods:
        first = method.name
        for argument in method.arguments:
            table.add_row(
                _plain(first),
                _plain(_STARS.get(argument.kind, "") + argument.name),
                argument.kind.name.lower().replace("_", " "),
                _plain(str(argument.type) if argument.annotated else ""),
                _plain(_default(argument)),
            )
            first = ""
        returns = str(method.returns) if method.annotated else ""
        table.add_row(_plain(first), "[dim]returns[/]", "", _plain(returns), "")
        table.add_section()
    console.print(table)


_STARS = {Kind.VAR_POSITIONAL: "*", Kind.VAR_KEYWORD: "**"}


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def _default(argument: Argument) -> str:
    if argument.default is None:
        return ""
    if argument.default.form == "opaque":
        return f"left to the owner ({argument.default.shown or 'cannot be written'})"
    return argument.default.text


def _as_dict(interface: Interface) -> dict[str, Any]:
    return {
        "name": interface.name,
        "module": interface.module,
        "qualname": interface.qualname,
        "origin": interface.origin,
        "digest": interface.digest,
        "file": interface.file,
        "line": interface.line,
        "doc": interface.doc,
        "methods": [_method_as_dict(m) for m in interface.methods],
    }


def _method_as_dict(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "doc": method.doc,
        "returns": str(method.returns) if method.annotated else None,
        "arguments": [
            {
                "name": a.name,
                "kind": a.kind.name.lower(),
                "type": str(a.type) if a.annotated else None,
                "default": None if a.default is None else a.default.text,
            }
            for a in method.arguments
        ],
    }
