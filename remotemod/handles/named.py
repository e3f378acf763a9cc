"""Names of remote modules: owners know them, so that other processes of a cluster find the modules by them."""

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
    """Makes a remote module known to its owner under a name; the last one of that name is found.

    A name keeps nothing alive: it goes with the module's last handle.
    """
    spec = client.spec.named_stub()._replace(ref=None, timeout=None, extension=None)
    client.cluster.load(client.worker, client.loaded).wait()
    # The cluster's bound, not the handle's: that one is for the user's calls.
    client.cluster.call(client.worker, Invoke(_remember, (client.ref, name, spec)))


def find_named(cluster: Cluster, name: str) -> HandleSpec | None:
    """The remote module of a name on a cluster; None if no worker has one.

    Raises:
        PlacementError: several workers have one.
        WorkerLost: a worker is gone, and the others have none.
    """
    request = Invoke(_remembered, (name,))
    answers = {worker: cluster.submit(worker, request) for worker in cluster.workers}
    specs: dict[str, HandleSpec] = {}
    lost = None
    for worker, answer in answers.items():
        try:
            spec = answer.wait()
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
        PlacementError: there is none, or nowhere to look for it.
        WorkerLost: as :func:`find_named` has it.
    """
    current = cluster or current_cluster()
    places = [current] if current is not None else []
    if cluster is None:
        places.append(process_cluster())
    for place in places:
        spec = find_named(place, name)
        if spec is not None:
            return place, spec
    where = "there is no current cluster" if current is None else f"{current!r} has none"
    raise PlacementError(
        f"no remote module is called '{name}': {where}. Open the cluster on which it lives first "
        f"(rm.connect, rm.launch), or build it there with rm.RemoteModule(…, name='{name}')"
    )


def client_named(name: str) -> Client:
    """The client of the remote module of a name, on the current cluster or in this process.

    Raises:
        PlacementError: there is none, or nowhere to look for it.
    """
    return Client(*look_up(name))


# --- on the owner -----------------------------------------------------------------------------


def _remember(ref: RemoteRef[nn.Module], name: str, spec: HandleSpec) -> None:
    owner = current_owner()
    assert owner is not None
    owner.names[name] = _weakly(remote_module(ref)), spec


def _remembered(name: str) -> HandleSpec | None:
    owner = current_owner()
    assert owner is not None
    found = owner.names.get(name)
    if found is None:
        return None
    module, spec = found
    value = module()
    if value is None:
        del owner.names[name]
        return None
    kept: HandleSpec = spec._replace(ref=owner.keep(value))
    return kept


def _weakly(module: nn.Module) -> Callable[[], nn.Module | None]:
    if is_script_module(module):
        return lambda: (
            module
        )  # engines keep the compiled module and make its Python form as they need it
    return weakref.ref(module)
