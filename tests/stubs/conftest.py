"""The golden cases: where they are, and whether they are to be written anew."""

from __future__ import annotations

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def golden(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The golden folder, with its cases importable by their short names."""
    monkeypatch.chdir(GOLDEN / "cases")
    monkeypatch.syspath_prepend(str(GOLDEN / "cases"))
    return GOLDEN
