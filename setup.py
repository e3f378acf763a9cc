"""Makes README.md the package's description, with links that lead somewhere outside of the tree too; all else is in pyproject.toml."""

import re
from pathlib import Path

from setuptools import setup

SOURCE = ""  # the address of the tree's files, with a slash at the end, once they have one: see CONTRIBUTING.md
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#|mailto:)([^)\s]+)\)")


def linked(match: "re.Match[str]") -> str:
    """A relative link as one to ``SOURCE``, or else as its words and the name of the file, which the sdist has."""
    words, path = match.groups()
    if SOURCE:
        return f"[{words}]({SOURCE}{path})"
    return words if path in words else f"{words} (`{path}`)"


README = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
PARTS = re.split(r"(```.*?```)", README, flags=re.DOTALL)  # every other one is code, which stays
setup(
    long_description="".join(p if i % 2 else LINK.sub(linked, p) for i, p in enumerate(PARTS)),
    long_description_content_type="text/markdown",
)
