"""Where parameters live, and how all those places are asked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from remotemod.errors import RemoteModError
from remotemod.future import Future
from remotemod.owner.owner import Owner, current_owner
from remotemod.requests import Invoke
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.current import ambient_cluster, find_cluster
from remotemod.rpc.ref import RemoteRef

__all__ = ["LOCAL", "Location", "Locations", "gather", "scatter"]


class Location:
    """A place where parameters live: an owner, or this process.

    Args:
        name: the owner's name.
        cluster: what reaches the owner; None if it is in this process.
        owner: the owner itself, if it is in this process.
    """

    def __init__(self, name: str, cluster: Cluster | None, owner: Owner | None) -> None:
        self.name = name
        self.cluster = cluster
        self._owner = owner

    def submit(
        self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float | None
    ) -> Future[Any]:
        """Runs a function there; what goes wrong comes through the future."""
        request = Invoke(function, args)
        own = self._owner
        # An owner that waits for itself would wait for ever.
        if own is not None and (self.cluster is None or own is current_owner()):
            return own.submit_locally(request)
        future: Future[Any] = Future("what runs here")
        try:
            if self.cluster is not None:
                return self.cluster.submit(self.name, request, timeout)
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def __repr__(self) -> str:
        return "here" if self is LOCAL else f"'{self.name}'"


LOCAL = Location("here", None, None)
"""The caller itself, for parameters that it holds directly."""


class Locations:
    """The owners that were met so far."""

    def __init__(self) -> None:
        self._found: dict[Any, Location] = {}

    def of(self, ref: Any, cluster: Cluster | None = None) -> Location:
        """The owner of a reference.

        Args:
            ref: a reference, ours or the engine's own.
            cluster: what reaches the owner, where that is known.
        """
        name = ref.owner_name()
        owner = getattr(ref, "keeper", None)
        if owner is not None and cluster is not None and not cluster.capabilities.shares_memory:
            cluster = None  # a worker has no connection to itself
        if owner is None and cluster is None:
            cluster = getattr(ref, "cluster", None) or _cluster_of(ref)
        ours = type(ref) is RemoteRef
        key = (name, owner or cluster) if ours else (name, "the engine's own")
        location = self._found.setdefault(key, Location(name, cluster, owner))
        location.cluster = location.cluster or cluster
        return location


def _cluster_of(ref: Any) -> Cluster:
    """The cluster for a reference of an engine's own kind, which does not say where it belongs."""
    for cluster in (find_cluster(), ambient_cluster()):
        if cluster is not None and cluster.engine.is_own_reference(ref):
            return cluster
    raise RemoteModError(
        f"no open cluster reaches {ref!r}: open the one that it comes from (rm.connect, rm.launch)"
    )


def scatter(
    function: Callable[..., Any], args: Mapping[Location, tuple[Any, ...]], timeout: float | None
) -> dict[Location, Future[Any]]:
    """Runs a function at every site and waits for all; what is here runs while the others do.

    Args:
        function: what runs.
        args: its arguments at each site.
        timeout: seconds for each; None for the cluster's bound.
    """
    order = sorted(args, key=lambda location: location.cluster is None)
    futures = {location: location.submit(function, args[location], timeout) for location in order}
    for future in futures.values():
        future.exception()
    return futures


def gather(futures: Mapping[Location, Future[Any]], done: str = "") -> dict[Location, Any]:
    """The result of each site.

    Args:
        futures: what :func:`ask` returns.
        done: what they did, in the past tense; an error then says who did and who did not.

    Raises:
        Exception: the first error there was.
    """
    failed = {location: future.exception() for location, future in futures.items()}
    failed = {location: error for location, error in failed.items() if error is not None}
    if not failed:
        return {location: future.wait() for location, future in futures.items()}
    error = next(iter(failed.values()))
    assert error is not None
    if done:
        _note(
            error,
            _report(done, [location for location in futures if location not in failed], failed),
        )
    raise error


def _report(
    done: str, good: list[Location], failed: Mapping[Location, BaseException | None]
) -> str:
    bad = ", ".join(f"{location!r} ({type(error).__name__})" for location, error in failed.items())
    return f"{done}: {', '.join(map(repr, good)) or 'nobody'}; not, or without saying so: {bad}"


def _note(error: BaseException, text: str) -> None:
    """Adds a note to an error, which keeps its type; where notes are unknown (3.10) they are not shown."""
    notes: list[str] = list(getattr(error, "__notes__", ()))
    if text not in notes:
        error.__notes__ = [*notes, text]  # type: ignore[attr-defined,unused-ignore]
