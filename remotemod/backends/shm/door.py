"""The entry points of shm: start worker processes on this machine, or connect to those of another process of this user."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence

from remotemod.backends.processes.workers import DEFAULT_TIMEOUT, close_at_exit
from remotemod.backends.shm.arena import DEFAULT_LIMIT
from remotemod.backends.shm.cluster_info import ClusterInfo, cluster_info
from remotemod.backends.shm.connection import DEFAULT_IN_FLIGHT
from remotemod.backends.shm.engine import SCHEME, ShmEngine
from remotemod.backends.shm.sockets import listening_workers
from remotemod.errors import BackendUnavailable, DeadlineExceeded, WorkerLost
from remotemod.requests import Invoke
from remotemod.rpc.cluster import Cluster
from remotemod.version import VERSION

__all__ = ["connect", "launch"]

_TOKEN = re.compile(r"[0-9a-f]{12}\Z")

_INFO_TIMEOUT = 10.0
"""Seconds that a worker may take to describe its cluster, before the next one is asked."""


def launch(
    workers: Sequence[str],
    *,
    timeout: float | None = DEFAULT_TIMEOUT,
    threads: int | None = None,
    max_concurrency: int = 1,
    arena: int = DEFAULT_LIMIT,
    in_flight: int = DEFAULT_IN_FLIGHT,
) -> Cluster:
    """Starts worker processes on this machine.

    Args:
        workers: their names.
        timeout: seconds that a call may take by default; None for no bound.
        threads: threads a worker computes with; by default as many as this process, so that results are
            the same to the last bit.
        max_concurrency: calls of one caller that a worker runs at once, in threads of its own. More than one
            helps modules that release the GIL, and they must be safe for threads.
        arena: bytes of shared memory that the tensors on their way between this process and a worker may
            take up, in each direction; results that are still alive count. Tensors that find no room go through the
            socket, slower and as correct. Only what is used takes memory.
        in_flight: calls that may be in flight to a worker at once; a thread that submits more waits.

    Raises:
        ValueError: a number is out of its range.
        BackendUnavailable: no process can be started.
    """
    _check("max_concurrency", max_concurrency, 1, "1 runs calls one after another")
    _check_sizes(arena, in_flight)
    engine = ShmEngine(workers, uuid.uuid4().hex[:12], arena, in_flight)
    cluster = Cluster(engine, timeout=timeout)
    try:
        engine.start(timeout, threads, max_concurrency)
    except BaseException:
        cluster.close()
        raise
    close_at_exit(cluster)
    return cluster


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
        arena: bytes of shared memory that tensors on their way to one worker may take up at once.
        in_flight: calls that may be in flight to a worker at once; a thread that submits more waits.

    Raises:
        ValueError: a number is out of its range.
        BackendUnavailable: this is no address, or no worker answers there.
    """
    _check_sizes(arena, in_flight)
    token = address.removeprefix(SCHEME)
    if not _TOKEN.match(token):
        raise BackendUnavailable(
            f"{address!r} is no address of workers on this machine: those are '{SCHEME}' and twelve hexadecimal "
            "digits; take cluster.address from the process that launched them"
        )
    engine = ShmEngine((), token, arena, in_flight)
    engine.is_guest = True
    cluster = Cluster(engine, timeout=timeout)
    try:
        info = _cluster_info(address, token, engine)
        if info.version != VERSION:
            raise BackendUnavailable(
                f"the workers of '{address}' run remotemod {info.version}, and this process {VERSION}: "
                "install the same version on both sides"
            )
        engine.workers = info.workers
        engine.connect_to_all()
    except BaseException:
        cluster.close()
        raise
    close_at_exit(cluster)
    return cluster


def _cluster_info(address: str, token: str, engine: ShmEngine) -> ClusterInfo:
    """The description of the cluster that the first worker gives which answers."""
    names = listening_workers(token)
    if not names:
        raise BackendUnavailable(
            f"no worker of '{address}' listens on this machine: the process that launched the cluster has closed it "
            "or ended, or runs on another machine or in another container. Launch it (rm.launch), and connect to "
            "the cluster.address it has then, while it is open"
        )
    reasons = []
    for name in names:
        try:
            info: ClusterInfo = engine.call(name, Invoke(cluster_info), _INFO_TIMEOUT)
            return info
        except (WorkerLost, DeadlineExceeded) as error:
            reasons.append(str(error))
    raise BackendUnavailable(f"no worker of '{address}' answers: {'; '.join(reasons)}")


def _check_sizes(arena: int, in_flight: int) -> None:
    """Raises ValueError where one of these numbers is out of its range."""
    _check("arena", arena, 0, "bytes; 0 sends everything through the socket")
    _check("in_flight", in_flight, 1, "1 waits for each reply before the next call")


def _check(name: str, value: object, least: int, hint: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least} ({hint}), not {value!r}"
        )
