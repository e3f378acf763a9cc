"""Spell default values and other literals as formatters leave them."""

from __future__ import annotations

import ast

from remotemod.codegen.imports import Imports
from remotemod.codegen.layout import Group, Node, Seq
from remotemod.interface.model import Default

__all__ = ["default", "literal", "string"]


def default(value: Default, imports: Imports) -> Node:
    """A default value as a Python expression; the opaque one is the sentinel of an omitted argument."""
    if value.form == "opaque":
        return imports.abi("OMITTED")
    return literal(value.text, imports, value.imports)


def literal(text: str, imports: Imports, modules: tuple[str, ...] = ()) -> Node:
    """The expression ``text``; its dotted paths below ``modules`` get what they need imported."""
    return _spell(ast.parse(text, mode="eval").body, imports, modules)


def _spell(node: ast.expr, imports: Imports, modules: tuple[str, ...]) -> Node:
    def spell_all(nodes: list[ast.expr]) -> tuple[Node, ...]:
        return tuple(_spell(n, imports, modules) for n in nodes)

    match node:
        case ast.Constant(value=str(value)):
            return string(value)
        case ast.Constant(value=bytes(value)):
            return "b" + _quoted(
                value.decode("latin-1"), [repr(bytes((byte,)))[2:-1] for byte in value]
            )
        case ast.Tuple(elts=elts):
            return Group("(", spell_all(elts), ")", lone_comma=True)
        case ast.List(elts=elts):
            return Group("[", spell_all(elts), "]")
        case ast.Dict(keys=keys, values=values):
            names = spell_all([k for k in keys if k is not None])
            pairs = zip(names, spell_all(values), strict=True)
            return Group("{", tuple(Seq((key, ": ", value)) for key, value in pairs), "}")
        case ast.Call(func=function, args=args):
            return Seq((_spell(function, imports, modules), Group("(", spell_all(args), ")")))
        case ast.Name() | ast.Attribute():
            return _path(ast.unparse(node), imports, modules)
    return ast.unparse(node).replace("e+", "e")  # numbers: 1e+20 is written 1e20


def _path(path: str, imports: Imports, modules: tuple[str, ...]) -> str:
    below = [m for m in modules if path.startswith(f"{m}.")]
    if not below:
        head, dot, rest = path.partition(".")
        return imports.builtin(head) + dot + rest
    module = max(below, key=len)
    rest = path.removeprefix(f"{module}.")
    if module == "torch":
        return f"{imports.module('torch')}.{rest}"
    top, dot, rest = rest.partition(".")
    return imports.name(module, top) + dot + rest


def string(value: str) -> str:
    """A string literal, in double quotes unless those need more escapes."""
    return _quoted(value, [repr(character)[1:-1] for character in value])


def _quoted(value: str, characters: list[str]) -> str:
    quote = "'" if value.count('"') > value.count("'") else '"'
    return quote + "".join("\\" + c if c == quote else c for c in characters) + quote
