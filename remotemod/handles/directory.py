"""Names of remote modules: owners know them, so that other processes of a cluster find the modules by them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from remotemod.errors import PlacementError, WorkerLost
from remotemod.handles.client import Client
from remotemod.handles.routes import ROUTER
from remotemod.owner.inproc import process_cluster
from remotemod.owner.module_functions import remote_module
from remotemod.owner.owner import current_owner
from remotemod.requests import Invoke
from remotemod.rpc.cluster import Cluster, current_cluster
from remotemod.rpc.ref import RemoteRef
from remotemod.stub.loader import StubName
from remotemod.torch_compat.script import is_script_module

__all__ = ["NamedModule", "announce", "client_named", "client_of", "find_named", "publish"]


class NamedModule(NamedTuple):
    """A named remote module, as its owner tells of it.

    Attributes:
        ref: the reference to it.
        device: its device on its owner.
        stub: what its owner runs for callers.
        kind: the dotted name of its class.
        recompute: whether its owner keeps no graphs and runs calls again in backward.
    """

    ref: Any
    device: str
    stub: StubName
    kind: str
    recompute: bool


def publish(client: Client, name: str) -> None:
    """Makes a remote module known to its owner under a name; the last one of that name is found.

    A name keeps nothing alive: it goes with the module's last handle.
    """
    stub = StubName(client.stub.digest, client.stub.declaration)
    named = NamedModule(None, client.device, stub, client.kind, client.recompute)
    client.cluster.load(client.worker, client.loaded).wait()
    # The cluster's bound, not the handle's: that one is for the user's calls.
    client.cluster.call(client.worker, Invoke(_remember, (client.ref, name, named)))


def announce(client: Client, ref: str) -> None:
    """From now on operators find the module by its reference string, here and in other processes."""
    if ROUTER.keep(ref, client):
        publish(client, ref)


def find_named(cluster: Cluster, name: str) -> NamedModule | None:
    """The remote module of a name on a cluster; None if no worker has one.

    Raises:
        PlacementError: several workers have one.
        WorkerLost: a worker is gone, and the others have none.
    """
    request = Invoke(_remembered, (name,))
    asked = [(worker, cluster.submit(worker, request)) for worker in cluster.workers]
    found: dict[str, NamedModule] = {}
    lost = None
    for worker, future in asked:
        try:
            named = future.wait()
        except WorkerLost as error:
            lost = error
        else:
            if named is not None:
                found[worker] = named
    if len(found) > 1:
        raise PlacementError(
            f"there are remote modules called '{name}' on {', '.join(sorted(found))}: give each a name of its own"
        )
    if lost is not None and not found:
        raise lost
    return next(iter(found.values()), None)


def client_of(named: NamedModule, cluster: Cluster) -> Client:
    """How calls reach a part that was found on a cluster."""
    return Client(
        cluster, named.ref, named.device, named.stub, None, named.kind, None, named.recompute
    )


def client_named(name: str) -> Client:
    """The way to the remote module of a name, on the current cluster or in this process.

    Raises:
        PlacementError: there is none, or nowhere to look for it.
        WorkerLost: as :func:`find_part` has it.
    """
    current = current_cluster()
    clusters = [process_cluster()] if current is None else [current, process_cluster()]
    for cluster in clusters:
        named = find_named(cluster, name)
        if named is not None:
            return client_of(named, cluster)
    where = "there is no current cluster" if current is None else f"{current!r} has none"
    raise PlacementError(
        f"no remote module is called '{name}': {where}. Open the cluster on which it lives first "
        f"(rm.connect, rm.launch), or build it there with rm.RemoteModule(…, name='{name}')"
    )


# --- on the owner -----------------------------------------------------------------------------


def _remember(ref: RemoteRef[nn.Module], name: str, named: NamedModule) -> None:
    owner = current_owner()
    assert owner is not None
    owner.names[name] = _weakly(remote_module(ref)), named


def _remembered(name: str) -> NamedModule | None:
    owner = current_owner()
    assert owner is not None
    found = owner.names.get(name)
    if found is None:
        return None
    module, named = found
    value = module()
    if value is None:
        del owner.names[name]
        return None
    kept: NamedModule = named._replace(ref=owner.keep(value))
    return kept


def _weakly(module: nn.Module) -> Callable[[], nn.Module | None]:
    if is_script_module(module):
        return lambda: (
            module
        )  # engines keep the compiled module and make its Python form as they need it
    return weakref.ref(module)
