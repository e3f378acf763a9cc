"""The processes that have parameters, and running a function in all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from remotemod.errors import RemoteModError
from remotemod.future import Future
from remotemod.owner.owner import Owner, current_owner
from remotemod.requests import Invoke
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.current import cluster_of_reference
from remotemod.rpc.ref import RemoteRef

__all__ = ["LOCAL", "Location", "Locations", "gather", "scatter"]


class Location:
    """A process that has parameters: an owner, or the caller itself.

    Args:
        name: the owner's name.
        cluster: reaches the owner; None if it is in this process.
        owner: the owner itself, if it is in this process.
    """

    def __init__(self, name: str, cluster: Cluster | None, owner: Owner | None) -> None:
        self.name = name
        self.cluster = cluster
        self._owner = owner

    def submit(
        self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float | None
    ) -> Future[Any]:
        """Run a function there; errors come through the future."""
        request = Invoke(function, args)
        own = self._owner
        # An owner that waited for itself would wait for ever.
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
"""The caller itself, for parameters that are in this process."""


class Locations:
    """One :class:`Location` for each owner."""

    def __init__(self) -> None:
        self._by_owner: dict[Any, Location] = {}

    def of(self, ref: Any, cluster: Cluster | None = None) -> Location:
        """The location of a reference's owner.

        Args:
            ref: a reference, ours or the engine's own.
            cluster: reaches the owner, where it is known.
        """
        name = ref.owner_name()
        owner = getattr(ref, "keeper", None)
        if owner is not None and cluster is not None and not cluster.capabilities.shares_memory:
            cluster = None  # a worker has no connection to itself
        if owner is None and cluster is None:
            cluster = getattr(ref, "cluster", None) or _cluster_of(ref)
        ours = type(ref) is RemoteRef
        key = (name, owner or cluster) if ours else (name, "the engine's own")
        location = self._by_owner.setdefault(key, Location(name, cluster, owner))
        location.cluster = location.cluster or cluster
        return location


def _cluster_of(ref: Any) -> Cluster:
    """The cluster for a reference of an engine's own kind, which does not name its cluster."""
    cluster = cluster_of_reference(ref)
    if cluster is None:
        raise RemoteModError(
            f"no open cluster reaches {ref!r}: open the one that it comes from (rm.connect, rm.launch)"
        )
    return cluster


def scatter(
    function: Callable[..., Any], args: Mapping[Location, tuple[Any, ...]], timeout: float | None
) -> dict[Location, Future[Any]]:
    """Run a function at every location and wait for all; this process runs its own while the workers do.

    Args:
        function: the function.
        args: its arguments at each location.
        timeout: seconds for each; None for the cluster's timeout.

    Returns:
        A future for each location, all of them done.
    """
    order = sorted(args, key=lambda location: location.cluster is None)
    futures = {location: location.submit(function, args[location], timeout) for location in order}
    for future in futures.values():
        future.exception()
    return futures


def gather(futures: Mapping[Location, Future[Any]], done: str = "") -> dict[Location, Any]:
    """The result at each location.

    Args:
        futures: what :func:`scatter` returns.
        done: the action, in the past tense; a note on the error then says which locations did and which did not.

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
    done: str, succeeded: list[Location], failed: Mapping[Location, BaseException | None]
) -> str:
    bad = ", ".join(f"{location!r} ({type(error).__name__})" for location, error in failed.items())
    good = ", ".join(map(repr, succeeded)) or "nobody"
    return f"{done}: {good}; not, or without saying so: {bad}"


def _note(error: BaseException, text: str) -> None:
    """Add a note to an error, which keeps its type; Python 3.10 does not show notes."""
    notes: list[str] = list(getattr(error, "__notes__", ()))
    if text not in notes:
        error.__notes__ = [*notes, text]  # type: ignore[attr-defined,unused-ignore]
