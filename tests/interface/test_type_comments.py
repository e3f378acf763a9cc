"""Types in comments, read from source and live."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from remotemod.interface.model import Interface
from remotemod.interface.read import read_interface

HEAD = "from typing import List, Optional, Tuple\nimport torch\nfrom torch import Tensor, nn\n"


def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Interface:
    """The interface of class M with this body, the same from both readers."""
    name = f"commented_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(f"{HEAD}class M(nn.Module):\n{body}")
    monkeypatch.syspath_prepend(tmp_path)
    static = read_interface(f"{name}:M")
    assert static == read_interface(importlib.import_module(name).M)
    return static


@pytest.mark.parametrize(
    ("body", "arguments", "returns"),
    [
        (
            "    def forward(self, x, n=3):\n        # type: (Tensor, int) -> List[Tensor]\n        return [x]\n",
            ["Tensor", "int"],
            "List[Tensor]",
        ),
        (
            "    def forward(self, x, n=3):  # type: (Tensor, Optional[int]) -> Tensor\n        return x\n",
            ["Tensor", "Optional[int]"],
            "Tensor",
        ),
        (
            "    def forward(\n        self,\n        x,  # type: Tensor\n        y,  # type: Tuple[int, str]\n"
            "    ):\n        # type: (...) -> Tensor\n        '''Doc.'''\n        return x\n",
            ["Tensor", "Tuple[int, str]"],
            "Tensor",
        ),
        ("    def forward(self):\n        # type: () -> None\n        pass\n", [], "None"),
    ],
)
def test_both_forms_give_types(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    arguments: list[str],
    returns: str,
) -> None:
    """A whole signature in one comment, or one comment a parameter."""
    forward = both(tmp_path, monkeypatch, body).method("forward")
    assert [str(a.type) for a in forward.arguments] == arguments
    assert str(forward.returns) == returns


@pytest.mark.parametrize(
    "body",
    [
        "    def forward(self, x):  # type: ignore\n        return x\n",
        "    def forward(self, x, y):\n        # type: (Tensor) -> Tensor\n        return x\n",
        "    def forward(self, x):\n        y = []  # type: (List[int]) -> int\n        return y\n",
        "    def forward(self, x):\n        # type: nonsense (\n        return x\n",
    ],
)
def test_other_comments_are_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """What does not fit the parameters, or stands in the body, gives no types."""
    forward = both(tmp_path, monkeypatch, body).method("forward")
    assert not forward.annotated
    assert not any(a.annotated for a in forward.arguments)
