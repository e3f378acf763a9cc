"""The README's first program runs as it stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples import quickstart
from tests.isolation import children


@pytest.mark.slow
def test_the_quickstart_runs_and_leaves_nothing(
    fork_server: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of embeddings on a worker answers twice alike."""
    before = children()
    quickstart.main()
    assert "on='ps0', device='cpu'" in capsys.readouterr().out.splitlines()[0]
    assert children() <= before


def test_the_quickstart_stays_short() -> None:
    """It is meant to be read at a glance."""
    assert quickstart.__file__ is not None
    assert len(Path(quickstart.__file__).read_text().splitlines()) <= 25
