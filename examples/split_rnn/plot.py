"""Draws the training loss and the perplexity of the held-out text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path


def draw(
    path: Path, losses: Sequence[float], held_out: Mapping[int, float], unigram: float
) -> None:
    """Writes a PNG.

    Args:
        path: the file.
        losses: of each training step, in nats for each character.
        held_out: the perplexity on the held-out text after so many steps.
        unigram: the baseline's perplexity on it.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(7, 4), layout="constrained")  # no window, and no global state
        axes = figure.subplots()
        steps = range(1, len(losses) + 1)
        perplexities = [math.exp(loss) for loss in losses]
        axes.plot(steps, perplexities, color="tab:blue", alpha=0.5, linewidth=1, label="training")
        marks = (list(held_out), list(held_out.values()))
        axes.plot(*marks, color="tab:orange", marker="o", label="held-out text")
        axes.axhline(unigram, color="gray", linestyle="--", label="held-out text, unigram baseline")
        axes.set(
            title="A language model in three processes",
            xlabel="training step",
            ylabel="perplexity for each character",
            yscale="log",
        )
        ticks = [tick for tick in (2, 3, 5, 10, 20, 50, 100) if tick <= 1.2 * max(perplexities)]
        axes.set_yticks(ticks, labels=[str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.legend(frameon=False)
        figure.savefig(path, dpi=120)
