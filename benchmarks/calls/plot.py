"""Draw latency by bytes, with the floors below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from remotemod.bench.peers import OURS
from remotemod.bench.results import Latency
from remotemod.bench.timing import Sample
from remotemod.bench.turns import Outcome
from remotemod.bench.wording import duration, human
from remotemod.errors import RemoteModError

__all__ = ["draw", "require_matplotlib"]

_STYLES = {
    # Colours that the colour-blind tell apart (Okabe and Ito, 2008); scripted callers have the colour of
    # their eager ones and another line, so that a pair is seen as one.
    "remotemod": ("#0072B2", "-", "o"),
    "remotemod scripted": ("#0072B2", ":", "o"),
    "torch": ("#D55E00", "-", "s"),
    "torch scripted": ("#D55E00", ":", "s"),
    "ray": ("#009E73", "-", "^"),
    "grpc": ("#CC79A7", "-", "D"),
    "monarch": ("#E69F00", "-", "v"),
    "inproc": ("#56B4E9", "-", "P"),
    "direct": ("#000000", "-", "X"),
}
_OTHER = ("#F0E442", "-", "*")
_FLOORS = {
    "memcpy": ("--", "floor: one copy in memory"),
    "socket": ("-.", "floor: a few bytes over a socket"),
}
_APART = 0.12


def require_matplotlib() -> None:
    """Say what to install where matplotlib is missing.

    Raises:
        RemoteModError: it is.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise RemoteModError("a plot needs matplotlib; pip install 'remotemod[bench]'") from None


def draw(rows: Sequence[Latency], path: Path, caption: str) -> None:
    """Write a picture of 1200 × 800 pixels: medians as lines, whiskers up to the 99th percentile.

    Args:
        rows: the sizes that were measured.
        path: the PNG file.
        caption: what the figures were taken on.

    Raises:
        RemoteModError: matplotlib is missing, or no size was measured.
        OSError: the file cannot be written.
    """
    require_matplotlib()
    if not rows:
        raise RemoteModError("a plot shows latency by size, which was not measured")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), dpi=100, layout="constrained")
    axes = figure.subplots()
    ways = _lines({row.size: row.ways for row in rows})
    slowest_first = sorted(ways.items(), key=lambda item: -item[1][max(item[1])].median)
    handles = [
        _draw_way(axes, name, points, 2 ** (_APART * (place - len(ways) / 2)))
        for place, (name, points) in enumerate(slowest_first)
    ]
    for name, points in _lines({row.size: row.floors for row in rows}).items():
        style, label = _FLOORS.get(name, ("--", name))
        handles += axes.plot(
            *_medians(points), color="#777777", linestyle=style, label=label, zorder=1
        )
    _label_axes(axes, [row.size for row in rows])
    axes.set_title(f"One echo of a tensor, by its size\n{caption}", loc="left", fontsize=11)
    title = "line: median, whisker: p99"
    figure.legend(handles=handles, loc="outside right upper", frameon=False, title=title)
    figure.savefig(path, format="png")


def _lines(tables: Mapping[int, Mapping[str, Outcome]]) -> dict[str, dict[int, Sample]]:
    """For each way the sizes at which it was measured."""
    found: dict[str, dict[int, Sample]] = {}
    for size, table in tables.items():
        for name, outcome in table.items():
            if isinstance(outcome, Sample):
                found.setdefault(name, {})[size] = outcome
    return found


def _medians(points: Mapping[int, Sample]) -> tuple[list[int], list[float]]:
    return list(points), [sample.median for sample in points.values()]


def _draw_way(axes: Any, name: str, points: Mapping[int, Sample], shift: float) -> Any:
    """A line with whiskers; all of it is shifted a little, so that whiskers stand beside each other.

    Returns:
        What stands for it in the legend.
    """
    colour, line, marker = _STYLES.get(name, _OTHER)
    sizes, medians = _medians(points)
    above = [sample.p99 - sample.median for sample in points.values()]
    return axes.errorbar(
        [size * shift for size in sizes],
        medians,
        yerr=[[0.0] * len(above), above],
        color=colour,
        linestyle=line,
        marker=marker,
        linewidth=2.8 if name == OURS else 1.6,
        elinewidth=1.0,
        capsize=2.5,
        label=name,
        zorder=3 if name == OURS else 2,
    )


def _label_axes(axes: Any, sizes: Sequence[int]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [human(size) for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _round(value)))
    axes.set_xlabel("bytes of the tensor")
    axes.set_ylabel("time of a call, there and back")
    axes.grid(which="major", color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def _round(seconds: float) -> str:
    """A power of ten as people say it: ``10 µs``."""
    return (
        duration(seconds).replace(".00", "").replace(".0", "")
        if seconds >= 1e-6
        else f"{seconds * 1e9:.0f} ns"
    )
