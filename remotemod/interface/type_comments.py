"""Read the types that a function gives in comments, as TorchScript has always understood them."""

from __future__ import annotations

import ast
import dataclasses
import io
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterator

from remotemod.interface.model import Method
from remotemod.interface.types import Type

__all__ = ["with_commented_types"]

_COMMENT = re.compile(r"#\s*type:\s*(?!ignore)(.+)")
_SIGNATURE = re.compile(r"\((.*)\)\s*->\s*(.+)", re.DOTALL)


def with_commented_types(
    method: Method, source: Callable[[], str], read: Callable[[str], Type]
) -> Method:
    """``method`` with the types from its comments, where it has no annotation at all.

    Both of TorchScript's forms count: ``# type: (Tensor, int) -> Tensor`` below the ``def``, and one
    ``# type:`` a parameter with ``# type: (...) -> Tensor`` at the end. Comments that do not fit the
    parameters are comments.

    Args:
        method: what was read so far.
        source: gives the function's text; asked only where it matters.
        read: the type that a text means where the function stands.
    """
    if method.annotated or any(a.annotated for a in method.arguments):
        return method
    text = source()
    if "type:" not in text:
        return method
    found = _types(list(_comments(text)))
    if found is None or len(found[0]) != len(method.arguments):
        return method
    arguments = tuple(
        dataclasses.replace(argument, type=read(spelled), annotated=True)
        for argument, spelled in zip(method.arguments, found[0], strict=True)
    )
    return dataclasses.replace(method, arguments=arguments, returns=read(found[1]), annotated=True)


def _comments(text: str) -> Iterator[str]:
    """The types in comments from ``def`` to the first statement of the body."""
    started = ended = False
    try:
        for token in tokenize.generate_tokens(io.StringIO(textwrap.dedent(text)).readline):
            if token.type == tokenize.NAME and token.string == "def":
                started = True
            elif token.type == tokenize.NEWLINE and started:
                ended = True
            elif token.type == tokenize.COMMENT and started:
                comment = _COMMENT.match(token.string)
                if comment is not None:
                    yield comment[1].strip()
            elif ended and token.type not in (tokenize.NL, tokenize.INDENT):
                return
    except (tokenize.TokenError, SyntaxError):
        return


def _types(comments: list[str]) -> tuple[list[str], str] | None:
    signature = _SIGNATURE.fullmatch(comments[-1]) if comments else None
    if signature is None:
        return None
    inside, result = signature[1].strip(), signature[2].strip()
    if inside == "...":
        return [comment.rstrip(",").strip() for comment in comments[:-1]], result
    if not inside:
        return [], result
    try:
        node = ast.parse(f"({inside},)", mode="eval").body
    except SyntaxError:
        return None
    assert isinstance(node, ast.Tuple)
    return [ast.unparse(each) for each in node.elts], result
