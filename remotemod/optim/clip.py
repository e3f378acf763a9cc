"""Clip gradients of this process and of workers by their common norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from remotemod.optim.gradients import Norms, norms, scale
from remotemod.optim.locations import Location, Locations, gather, scatter
from remotemod.optim.parameters import by_location, read_groups

__all__ = ["clip_grad_norm_"]


@torch.no_grad()
def clip_grad_norm_(
    params_or_modules: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale gradients of this process and of workers down to a common norm, as ``torch.nn.utils.clip_grad_norm_`` does.

    The owners work at the same time: once for the norms, and once more if there is something to scale.
    Sparse gradients count by the values of their coalesced form.

    Args:
        params_or_modules: as in :class:`remotemod.RemoteOptimizer`.
        max_norm: the norm that all gradients together may have.
        norm_type: the order of the norm; may be ``float("inf")``.
        error_if_nonfinite: whether an infinite or undefined norm is an error.
        foreach: False for one operation a gradient, where owners would take several at once.

    Returns:
        The norm before clipping, without dimensions; 0 if there are no gradients.

    Raises:
        RuntimeError: the norm is not finite, and ``error_if_nonfinite`` was set; nothing was scaled.
    """
    norm_type = float(norm_type)
    groups = read_groups(params_or_modules, Locations())
    entries = [entry for group in groups for entry in group.entries]
    sources = by_location(entries)
    arguments = {location: (each, norm_type, foreach) for location, each in sources.items()}
    by_owner: dict[Location, Norms] = gather(scatter(norms, arguments, None))
    pieces = {
        location: iter(torch.split(owned.norms, owned.counts))
        for location, owned in by_owner.items()
    }
    ordered = [piece for entry in entries if (piece := next(pieces[entry.location])).numel()]
    if not ordered:
        return torch.tensor(0.0)
    total: Tensor = torch.linalg.vector_norm(torch.cat(ordered), norm_type)
    if error_if_nonfinite and not torch.isfinite(total):
        raise RuntimeError(
            f"the norm of order {norm_type} of all gradients is {float(total)}, so they cannot be clipped, and were left "
            "as they are; look for the gradient that is not finite, or leave error_if_nonfinite=False"
        )
    factor = torch.clamp(float(max_norm) / (total + 1e-6), max=1.0)
    if float(factor) != 1.0:
        gather(
            scatter(scale, {location: (each, factor) for location, each in sources.items()}, None),
            "clipped",
        )
    return total
