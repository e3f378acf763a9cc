"""Draws the losses of both trainings, so that both curves can be seen although they coincide."""

from __future__ import annotations

from pathlib import Path

from examples.digits.comparison import unequal_losses
from examples.digits.training import Run

# Colours that colour-blind readers can tell apart (Okabe and Ito, 2008), the lower one paler.
HOME, HYBRID = "#F5CE8A", "#0072B2"


def require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        raise SystemExit("the demo needs matplotlib: pip install 'remotemod[examples]'") from None


def draw(local: Run, hybrid: Run, path: Path) -> None:
    """Writes a PNG of 1000 × 600 pixels, a thin line on a wide one; a figure without pyplot needs no display."""
    from matplotlib.figure import Figure

    count = len(local.losses)
    equal = count - len(unequal_losses(local, hybrid))
    steps = range(1, count + 1)
    figure = Figure(figsize=(10, 6), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.plot(
        steps,
        local.losses,
        color=HOME,
        linewidth=7,
        solid_joinstyle="round",
        label=f"one process (wide), {local.seconds:.1f} s",
    )
    axes.plot(
        steps,
        hybrid.losses,
        color=HYBRID,
        linewidth=1.2,
        marker="o",
        markersize=3,
        label=f"three processes (thin), {hybrid.seconds:.1f} s",
    )
    axes.set_xlim(0, count + 1)
    axes.set_ylim(bottom=-0.03)  # the line is wide
    axes.set_xlabel("step")
    axes.set_ylabel("loss (cross entropy of the step's batch)")
    axes.set_title(f"Digits: {equal} of {count} losses are equal to the last bit", loc="left")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")
