"""The ``--update-golden`` option and the folders of the golden cases."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="Write the golden stubs instead of comparing."
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written (``UPDATE_GOLDEN=1`` where pytest starts elsewhere)."""
    asked = request.config.getoption("--update-golden", default=False)
    return bool(asked) or os.environ.get("UPDATE_GOLDEN") == "1"


@pytest.fixture
def golden(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The golden folder, with its cases importable by their short names."""
    monkeypatch.chdir(GOLDEN / "cases")
    monkeypatch.syspath_prepend(str(GOLDEN / "cases"))
    return GOLDEN
