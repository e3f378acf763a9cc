"""Named modules: owners know their names, so that other processes of a cluster find them."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from torch import nn

from remotemod.errors import PlacementError, WorkerLost
from remotemod.handles.client import Client
from remotemod.handles.spec import HandleSpec
from remotemod.owner.inproc import process_cluster
from remotemod.owner.module_functions import remote_module
from remotemod.owner.owner import current_owner
from remotemod.requests import Invoke
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.current import current_cluster
from remotemod.rpc.ref import RemoteRef
from remotemod.torch_compat.script import is_script_module

__all__ = ["client_named", "find_named", "look_up", "publish"]


def publish(client: Client, name: str) -> None:
    """Give a remote module a name on its owner; it replaces an older one of that name.

    A name keeps nothing alive: it goes with the module's last handle.
    """
    spec = client.spec.named_stub()._replace(ref=None, timeout=None, extension=None)
    client.cluster.load(client.worker, client.loaded).wait()
    # The cluster's timeout, not the handle's, which is for the user's calls.
    client.cluster.call(client.worker, Invoke(_remember, (client.ref, name, spec)))


def find_named(cluster: Cluster, name: str) -> HandleSpec | None:
    """The remote module of a name on a cluster; None if no worker has one.

    Raises:
        PlacementError: several workers have one.
        WorkerLost: a worker is gone, and the others have none.
    """
    request = Invoke(_remembered, (name,))
    replies = {worker: cluster.submit(worker, request) for worker in cluster.workers}
    specs: dict[str, HandleSpec] = {}
    lost = None
    for worker, reply in replies.items():
        try:
            spec = reply.wait()
        except WorkerLost as error:
            lost = error
        else:
            if spec is not None:
                specs[worker] = spec
    if len(specs) > 1:
        raise PlacementError(
            f"there are remote modules called '{name}' on {', '.join(sorted(specs))}: give each a name of its own"
        )
    if lost is not None and not specs:
        raise lost
    return next(iter(specs.values()), None)


def look_up(name: str, cluster: Cluster | None = None) -> tuple[Cluster, HandleSpec]:
    """The remote module of a name, and the cluster where it is.

    Args:
        name: the name.
        cluster: where to look; by default the current cluster, and then this process.

    Raises:
        PlacementError: there is none, or no cluster to look for it.
        WorkerLost: as in :func:`find_named`.
    """
    current = cluster or current_cluster()
    candidates = [current] if current is not None else []
    if cluster is None:
        candidates.append(process_cluster())
    for candidate in candidates:
        spec = find_named(candidate, name)
        if spec is not None:
            return candidate, spec
    reason = "there is no current cluster" if current is None else f"{current!r} has none"
    raise PlacementError(
        f"no remote module is called '{name}': {reason}. Open the cluster on which it lives first "
        f"(rm.connect, rm.launch), or build it there with rm.RemoteModule(…, name='{name}')"
    )


def client_named(name: str) -> Client:
    """The client of the remote module of a name, on the current cluster or in this process.

    Raises:
        PlacementError: there is none, or no cluster to look for it.
    """
    return Client(*look_up(name))


# --- on the owner -----------------------------------------------------------------------------


def _remember(ref: RemoteRef[nn.Module], name: str, spec: HandleSpec) -> None:
    owner = current_owner()
    assert owner is not None
    owner.names[name] = _weak_getter(remote_module(ref)), spec


def _remembered(name: str) -> HandleSpec | None:
    owner = current_owner()
    assert owner is not None
    entry = owner.names.get(name)
    if entry is None:
        return None
    get_module, spec = entry
    module = get_module()
    if module is None:
        del owner.names[name]
        return None
    own_spec: HandleSpec = spec._replace(ref=owner.keep(module))
    return own_spec


def _weak_getter(module: nn.Module) -> Callable[[], nn.Module | None]:
    if is_script_module(module):
        return lambda: (
            module
        )  # engines keep the compiled module, and make its Python form on demand
    return weakref.ref(module)
