"""``remotemod show``: an interface as a table and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from remotemod.cli.app import app

SOURCE = '''
import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """Sees things."""

    def forward(self, x: Tensor, *layers: int, word: str = "[red]", thing=object(), **options) -> "dict[str, list[Tensor]]":
        """Looks."""

    def encode(self, a_parameter_with_a_long_name: "dict[str, tuple[Tensor, list[Tensor]]] | None" = None) -> Tensor: ...
'''


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shown.py").write_text(SOURCE)
    return "shown.py:Backbone"


def test_table_has_methods_arguments_types_and_defaults(source: str) -> None:
    """Everything about a method stands in the table, each on one line when it is piped."""
    done = CliRunner().invoke(app, ["show", source])
    assert done.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines()]
    assert ["forward", "x", "positional or keyword", "Tensor", ""] in rows
    assert ["", "*layers", "var positional", "int", ""] in rows
    assert ["", "word", "keyword only", "str", "'[red]'"] in rows
    assert ["", "thing", "keyword only", "", "left to the owner (object())"] in rows
    assert ["", "**options", "var keyword", "", ""] in rows
    assert ["", "returns", "", "Dict[str, List[Tensor]]", ""] in rows
    long = "Optional[Dict[str, Tuple[Tensor, List[Tensor]]]]"
    assert ["encode", "a_parameter_with_a_long_name", "positional or keyword", long, "None"] in rows


def test_piped_table_is_not_cramped(source: str, tmp_path: Path) -> None:
    """A real pipe, of which no width is known, gets rows as wide as they need to be."""
    done = subprocess.run(
        [sys.executable, "-c", "from remotemod.cli import main; main()", "show", source],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Optional[Dict[str, Tuple[Tensor, List[Tensor]]]]" in done.stdout


def test_json_is_the_whole_interface(source: str) -> None:
    """``--json`` is for programs: nothing else is printed."""
    [shown] = json.loads(CliRunner().invoke(app, ["show", source, "--json"]).stdout)
    assert shown["name"] == "Backbone"
    assert shown["doc"] == "Sees things."
    assert shown["line"] == 6
    forward, encode = shown["methods"]
    assert forward["doc"] == "Looks."
    assert forward["arguments"][2] == {
        "name": "word",
        "kind": "keyword_only",
        "type": "str",
        "default": "'[red]'",
    }
    assert encode["returns"] == "Tensor"


def test_missing_target_is_an_error(source: str) -> None:
    """What cannot be read gives a message and exit code 1; the rest is shown."""
    done = CliRunner().invoke(app, ["show", "shown.py:Bakbone", source])
    assert done.exit_code == 1
    assert "did you mean 'Backbone'?" in done.stderr
    assert "forward" in done.stdout


def test_nothing_to_show_is_an_error(source: str, tmp_path: Path) -> None:
    """A file without interfaces is not passed over in silence."""
    (tmp_path / "empty.py").write_text("x = 1\n")
    done = CliRunner().invoke(app, ["show", "empty.py"])
    assert done.exit_code == 1
    assert "no interface" in done.stderr
