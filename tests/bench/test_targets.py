"""The targets that the repository's benchmark holds against a run."""

from __future__ import annotations

import dataclasses

from benchmarks.calls.markdown import print_report
from benchmarks.calls.targets import targets
from remotemod.bench.callers import Failure
from remotemod.bench.options import Options
from remotemod.bench.report import Report
from remotemod.bench.results import Latency, Launch, Throughput
from remotemod.bench.timing import Sample

EMPTY = Report(Options(), "2026-01-01T00:00:00+00:00")


def seconds(value: float) -> Sample:
    return Sample((value,))


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    """An empty run has no verdict."""
    assert {t.verdict for t in targets(EMPTY)} == {"not measured"}


def test_bounds_are_kept_or_not() -> None:
    """Times have an upper bound, rates a lower one; two copies are twice one."""
    ways = {"remotemod": seconds(0.004), "torch": seconds(0.008), "ray": Failure("no")}
    report = dataclasses.replace(
        EMPTY,
        latency=(Latency(4 << 20, ways, {"memcpy": seconds(0.001)}),),
        throughput=Throughput(200, {"remotemod": seconds(0.01), "torch": seconds(0.1)}),
        launch=Launch(20, {"remotemod": seconds(1.0), "torch": seconds(11.0)}, {}),
    )
    found = {t.what: (t.figure, t.verdict) for t in targets(report)}
    assert found["4 MiB echo / torch's"] == (0.5, "not met")
    assert found["4 MiB echo / two warm copies"] == (2.0, "met")
    assert found["pipelined calls a second / torch's"] == (10.0, "met")
    assert found["launch of 20 workers / torch's"] == (1 / 11, "met")
    print_report(report)  # whatever is there can be printed
