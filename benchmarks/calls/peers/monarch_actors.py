"""Monarch: an actor in each process of a mesh on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from remotemod.bench.peers.base import Opened, Way, missing

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MonarchActors"]

_SECONDS = 240.0


class MonarchActors:
    """A mesh of processes, one a worker."""

    launches = True
    relaunches = False

    def available(self) -> str | None:
        """It is where torchmonarch is installed."""
        return missing("torchmonarch", "'remotemod[monarch]'")

    def prepare(self) -> None:
        """Import monarch and torch."""
        import monarch.actor  # noqa: F401
        import torch  # noqa: F401

    @contextmanager
    def open(self, workers: Sequence[str]) -> Iterator[Opened]:
        """Spawn the mesh and its actors."""
        from monarch.actor import shutdown_context, this_host

        from benchmarks.calls.peers.monarch_worker import Worker

        try:
            mesh = this_host().spawn_procs(per_host={"workers": len(workers)})
            spawned = mesh.spawn("echo", Worker)
            spawned.pid.call().get(timeout=_SECONDS)
            actors = {name: spawned.slice(workers=i) for i, name in enumerate(workers)}
            yield Opened(
                lambda: _ways(actors),
                lambda: {name: each.pid.call_one().get() for name, each in actors.items()},
            )
            mesh.stop().get(timeout=_SECONDS)
        finally:
            shutdown_context().get(timeout=_SECONDS)


def _ways(actors: Mapping[str, Any]) -> Mapping[str, Way]:
    def submit(worker: str, x: Tensor) -> Callable[[], object]:
        wait: Callable[[], object] = actors[worker].echo.call_one(x).get
        return wait

    return {
        "monarch": Way(
            call=lambda worker, x: actors[worker].echo.call_one(x).get(),
            submit=submit,
            create=lambda worker: actors[worker].create.call_one().get(),
        )
    }
