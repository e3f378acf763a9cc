"""Connects to the workers that another process of this user has launched on this machine."""

from __future__ import annotations

import re

from remotemod.backends.processes.workers import DEFAULT_TIMEOUT, close_at_exit
from remotemod.backends.shm.arena import DEFAULT_LIMIT
from remotemod.backends.shm.backend import SCHEME, ShmBackend, check_sizes
from remotemod.backends.shm.connection import DEFAULT_IN_FLIGHT
from remotemod.backends.shm.introduction import About, about
from remotemod.backends.shm.sockets import listening
from remotemod.errors import BackendUnavailable, DeadlineExceeded, WorkerLost
from remotemod.requests import Invoke
from remotemod.rpc.cluster import Cluster
from remotemod.version import VERSION

__all__ = ["connect"]

_TOKEN = re.compile(r"[0-9a-f]{12}\Z")

_PATIENCE = 10.0
"""Seconds for which a worker may keep silent before the next one is asked."""


def connect(
    address: str,
    *,
    timeout: float | None = DEFAULT_TIMEOUT,
    arena: int = DEFAULT_LIMIT,
    in_flight: int = DEFAULT_IN_FLIGHT,
) -> Cluster:
    """Uses the workers of a cluster that another process has launched.

    They end with that process. What this one keeps on them goes when it closes the cluster, or dies.

    Args:
        address: ``Cluster.address`` in the process that launched them.
        timeout: seconds that a call may take by default; None for no bound.
        arena: bytes of shared memory that what is sent to one worker may take up at once.
        in_flight: calls that may be on their way to a worker at once; who submits more waits.

    Raises:
        ValueError: a number makes no sense.
        BackendUnavailable: this is no address, or no worker answers there.
    """
    check_sizes(arena, in_flight)
    token = address.removeprefix(SCHEME)
    if not _TOKEN.match(token):
        raise BackendUnavailable(
            f"{address!r} is no address of workers on this machine: those are '{SCHEME}' and twelve hexadecimal "
            "digits; take cluster.address from the process that launched them"
        )
    backend = ShmBackend((), token, arena, in_flight)
    backend.is_guest = True
    cluster = Cluster(backend, timeout=timeout)
    backend.cluster = cluster
    try:
        found = _ask(address, token, backend)
        if found.version != VERSION:
            raise BackendUnavailable(
                f"the workers of '{address}' run remotemod {found.version}, and this process {VERSION}: "
                "install the same version on both sides"
            )
        backend.workers = found.workers
        backend.connect_to_all()
    except BaseException:
        cluster.close()
        raise
    close_at_exit(cluster)
    return cluster


def _ask(address: str, token: str, backend: ShmBackend) -> About:
    """What the first worker says that answers."""
    names = listening(token)
    if not names:
        raise BackendUnavailable(
            f"no worker of '{address}' listens on this machine: the process that launched the cluster has closed it "
            "or ended, or runs on another machine or in another container. Launch it (rm.launch), and connect to "
            "the cluster.address it has then, while it is open"
        )
    reasons = []
    for name in names:
        try:
            found: About = backend.call(name, Invoke(about), _PATIENCE)
            return found
        except (WorkerLost, DeadlineExceeded) as error:
            reasons.append(str(error))
    raise BackendUnavailable(f"no worker of '{address}' answers: {'; '.join(reasons)}")
