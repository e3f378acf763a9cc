"""No remote module at all: a module called where it is, for what any handle adds to that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from remotemod.bench.peers.base import Opened, Peer, Way

__all__ = ["Direct"]


class Direct(Peer):
    """Modules of the caller itself."""

    @contextmanager
    def open(self, workers: Sequence[str]) -> Iterator[Opened]:
        """Start nothing."""
        yield Opened(lambda: _ways(workers))


def _ways(workers: Sequence[str]) -> Mapping[str, Way]:
    from remotemod.bench.modules import Echo, small

    modules = {worker: Echo() for worker in workers}
    return {"direct": Way(lambda worker, x: modules[worker](x), create=lambda worker: small())}
