"""Compares the training in three processes with that in one, bit for bit."""

from __future__ import annotations

from torch import Tensor

from examples.digits.training import Run
from examples.digits.ways import Result


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The fraction of images, 0 to 1, for which the largest logit is that of the label."""
    return (logits.argmax(1) == labels).float().mean().item()


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Stricter than ``torch.equal``: -0 is not 0 here, and the dtypes count."""
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and one.numpy().tobytes() == other.numpy().tobytes()


def unequal_losses(local: Run, hybrid: Run) -> list[int]:
    """The steps, counted from 1, whose losses are not the same number."""
    both = zip(local.losses, hybrid.losses, strict=True)
    return [step for step, (here, there) in enumerate(both, 1) if here.hex() != there.hex()]


def unequal_weights(local: Run, hybrid: Run) -> list[str]:
    """The names of tensors, BatchNorm's statistics included, that differ or are in only one model."""
    alone = local.weights.keys() ^ hybrid.weights.keys()
    return [
        name
        for name in {**local.weights, **hybrid.weights}
        if name in alone or not same_bits(local.weights[name], hybrid.weights[name])
    ]


def unequal_ways(results: list[Result], local_test: Result) -> list[str]:
    """The ways to call the backbone that gave other logits than the local model."""
    return [r.name for r in results if not same_bits(r.logits, local_test.logits)]


def differences(
    local: Run, hybrid: Run, local_test: Result, hybrid_test: Result, labels: Tensor
) -> list[str]:
    """The differences between both trainings, one sentence for each.

    Args:
        local: the training in one process.
        hybrid: the training in three processes.
        local_test: the local model's results on the test images.
        hybrid_test: the other model's results on them.
        labels: the digits that the test images show.
    """
    found = []
    if steps := unequal_losses(local, hybrid):
        here, there = (run.losses[steps[0] - 1] for run in (local, hybrid))
        found.append(
            f"{len(steps)} of {len(local.losses)} losses differ, first in step {steps[0]}: "
            f"{here!r} in one process, {there!r} in three"
        )
    if names := unequal_weights(local, hybrid):
        found.append(
            f"{len(names)} of {len(local.weights)} trained tensors differ: {', '.join(names)}"
        )
    if not same_bits(local_test.logits, hybrid_test.logits):
        here, there = (accuracy(test.logits, labels) for test in (local_test, hybrid_test))
        found.append(
            f"test logits differ; accuracy {here:.2%} in one process, {there:.2%} in three"
        )
    return found
