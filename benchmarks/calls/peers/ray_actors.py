"""Ray: an actor a worker, arrays as arguments, which it carries without copying on the way back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from remotemod.bench.peers.base import Opened, Way, missing

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RayActors"]


class RayActors:
    """A Ray runtime of its own on this machine."""

    launches = True
    relaunches = False  # one runtime a process

    def available(self) -> str | None:
        """It is where ray is installed."""
        return missing("ray", "'remotemod[ray]'")

    def prepare(self) -> None:
        """Import ray and torch."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray  # noqa: F401
        import torch  # noqa: F401

    @contextmanager
    def open(self, workers: Sequence[str]) -> Iterator[Opened]:
        """Start a runtime and an actor a worker."""
        import ray

        with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
            ray.init(
                address="local",
                num_cpus=1,  # actors take none; Ray starts as many idle workers as it has CPUs
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                _node_ip_address="127.0.0.2",  # Ray takes 127.0.0.1 for the machine's own address
                _temp_dir=folder,
            )
            try:
                actor = ray.remote(num_cpus=0)(Worker)
                actors = {name: actor.remote() for name in workers}
                ray.get([each.pid.remote() for each in actors.values()])
                yield Opened(
                    lambda: _ways(actors),
                    lambda: {name: ray.get(each.pid.remote()) for name, each in actors.items()},
                )
            finally:
                ray.shutdown()


class Worker:
    """What runs as an actor."""

    def __init__(self) -> None:
        import warnings

        from remotemod.bench.modules import Echo

        warnings.simplefilter("ignore")  # arrays arrive read-only, which torch remarks on
        self._echo = Echo()
        self._kept: list[object] = []

    def pid(self) -> int:
        """The process it runs in."""
        return os.getpid()

    def echo(self, array: Any) -> Any:
        """Call the module."""
        import torch

        return self._echo(torch.from_numpy(array)).numpy()

    def create(self) -> int:
        """Build a module and keep it."""
        from remotemod.bench.modules import small

        self._kept.append(small())
        return len(self._kept)


def _ways(actors: Mapping[str, Any]) -> Mapping[str, Way]:
    import ray
    import torch

    def answer(ref: Any) -> Tensor:
        return torch.from_numpy(ray.get(ref))

    def submit(worker: str, x: Tensor) -> Callable[[], object]:
        return partial(answer, actors[worker].echo.remote(x.numpy()))

    return {
        "ray": Way(
            call=lambda worker, x: submit(worker, x)(),
            submit=submit,
            create=lambda worker: ray.get(actors[worker].create.remote()),
        )
    }
