"""docs/compatibility.md says what its records say, and there is a record for each version that we promise."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from compatibility_table import PAGE, page, read  # noqa: E402
from matrix import DEFAULT, lowest  # noqa: E402


def test_the_page_is_what_the_records_say() -> None:
    """``python scripts/matrix.py --render`` writes it anew."""
    assert page(read()) == PAGE.read_text()


def test_each_promised_version_has_been_seen() -> None:
    """Of torch, and of Python."""
    seen = read()
    assert {record["torch"] for record in seen} >= set(DEFAULT)
    pythons = {record["python"].rpartition(".")[0] for record in seen}
    assert pythons >= {"3.10", "3.11", "3.12", "3.13", "3.14"}
    assert any(record["lowest"] for record in seen)


def test_the_lowest_versions_are_those_of_the_package() -> None:
    """Each dependency but torch has one."""
    assert {pin.partition("==")[0] for pin in lowest()} >= {"jinja2", "libcst", "msgspec", "typer"}
    assert not [pin for pin in lowest() if pin.startswith("torch==")]
