"""Cut source into statements without parsing it, so that a parser sees only the slices somebody asks about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from remotemod.process import cached

__all__ = ["Block", "Statement", "Text"]

_QUIET = re.compile(
    r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""'
    r"|'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'(?:[^'\\\n]|\\.)*'"
    r"|#[^\n]*",
    re.DOTALL,
)
_HEAD = re.compile(
    r"(?:async[ \t]+)?(?P<kind>def|class)\b[ \t]*(?P<name>\w+)"
    r"|(?P<decorator>@)"
    r"|(?P<next>elif|else|except|finally)\b"
    r"|(?:async[ \t]+)?(?P<compound>if|try|with|for|while)\b"
    r"|(?P<quiet>\"|[rRuUbBfF]{1,2}\"|(?!(?:return|del|def|class)\b)[\w.]+[ \t]*\(|(?:pass|raise|assert|global|nonlocal|yield|await|continue|break)\b)"
)
_SIGN = re.compile(r"[()\[\]{}]|:(?!=)")
_CODE = re.compile(r"\S")


def _blank(match: re.Match[str]) -> str:
    length = match.end() - match.start()
    return (" " if match.group().startswith("#") else '"') * length


@cached(maxsize=64)
def _line_start(indent: str) -> re.Pattern[str]:
    return re.compile(f"^{re.escape(indent)}(?=\\S)", re.MULTILINE)


@dataclass(eq=False)
class Text:
    """A file's text, and a copy of the same length in which strings and comments are blanked out."""

    text: str
    file: str

    @cached_property
    def code(self) -> str:
        """The text with every string filled with quotes and every comment with spaces."""
        return _QUIET.sub(_blank, self.text)

    @property
    def block(self) -> Block:
        """The whole file."""
        return Block(self, 0, len(self.text))

    def line(self, offset: int) -> int:
        """The number of the line that ``offset`` is on, from 1."""
        return self.text.count("\n", 0, offset) + 1

    def body(self, head: int, end: int) -> Block:
        """What stands below the compound statement whose keyword is at ``head``."""
        depth = 0
        colon = end
        for sign in _SIGN.finditer(self.code, head, end):
            match sign.group():
                case ":" if depth == 0:
                    colon = sign.end()
                    break
                case "(" | "[" | "{":
                    depth += 1
                case ")" | "]" | "}":
                    depth -= 1
        first = _CODE.search(self.code, colon, end)
        if first is None:
            return Block(self, end, end, inline=True)
        start = first.start()
        line = self.code.rfind("\n", colon, start) + 1
        if not line:
            return Block(self, start, end, inline=True)
        return Block(self, line, end, self.code[line:start])


@dataclass(slots=True)
class Statement:
    """One statement: from the line it starts on to where the next one starts.

    ``heads`` are the offsets of its keywords: one for a definition (decorators stand before it),
    one for each branch of a compound statement.
    """

    kind: Literal["class", "def", "compound", "plain", "quiet"]
    start: int
    end: int
    word: str = ""
    heads: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Block:
    """The statements of a file or of a suite; ``inline``: on the very line of the colon."""

    text: Text
    start: int
    end: int
    indent: str = ""
    inline: bool = False

    @property
    def source(self) -> str:
        """The block's text."""
        return self.text.text[self.start : self.end]

    def statements(self) -> list[Statement]:
        """The block's statements in order; a ``quiet`` one binds no name."""
        if self.inline:
            return [Statement("plain", self.start, self.end)] if self.start < self.end else []
        code, found = self.text.code, []
        decorated: int | None = None
        starts = list(self._starts())
        for start, end in zip(starts, [*starts[1:], self.end], strict=False):
            head = start + len(self.indent)
            match = _HEAD.match(code, head, end)
            group = match.lastgroup if match is not None else None
            if match is None:
                found.append(Statement("plain", start, end))
            elif group == "name":
                first = start if decorated is None else decorated
                kind: Literal["class", "def"] = "class" if match["kind"] == "class" else "def"
                found.append(Statement(kind, first, end, match["name"], [head]))
            elif group == "decorator":
                decorated = start if decorated is None else decorated
                continue
            elif group == "next" and found:
                found[-1].end = end
                found[-1].heads.append(head)
            elif group == "compound":
                found.append(Statement("compound", start, end, match["compound"], [head]))
            else:
                found.append(Statement("quiet", start, end))
            decorated = None
        return found

    def _starts(self) -> Iterator[int]:
        """Where lines of the block's own indentation start, those inside brackets left out."""
        code = self.text.code
        depth, last = 0, self.start
        for match in _line_start(self.indent).finditer(code, self.start, self.end):
            start = match.start()
            before = code[last:start]
            last = start
            depth += sum(map(before.count, "([{")) - sum(map(before.count, ")]}"))
            if depth <= 0 and not before.endswith("\\\n"):
                depth = 0
                yield start
