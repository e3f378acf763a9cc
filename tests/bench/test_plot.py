"""The plot: what it is drawn from, and what it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.calls.plot import draw
from remotemod.bench.callers import Failure
from remotemod.bench.results import Latency
from remotemod.bench.timing import Sample
from remotemod.errors import RemoteModError


@pytest.mark.slow
def test_ways_that_failed_are_left_out(tmp_path: Path) -> None:
    """At the sizes where they did; a way that nobody knows is drawn too."""
    good, floor = Sample((1e-4, 2e-4, 3e-4)), Sample((1e-5,))
    rows = [
        Latency(4, {"remotemod": good, "torch": good, "ray": Failure("no")}, {"socket": floor}),
        Latency(4096, {"remotemod": good, "torch": Failure("no"), "new": good}, {"memcpy": floor}),
    ]
    draw(rows, tmp_path / "x.png", "a machine")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_without_latency_there_is_nothing_to_draw(tmp_path: Path) -> None:
    """The message says so."""
    with pytest.raises(RemoteModError, match="was not measured"):
        draw([], tmp_path / "x.png", "")
