"""Names of remote modules: owners know them, so that other processes of a cluster find the modules by them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from remotemod.errors import PlacementError, WorkerLost
from remotemod.handles.client import Binding
from remotemod.handles.routes import ROUTER
from remotemod.owner.inproc import process_cluster
from remotemod.owner.module_functions import remote_module
from remotemod.owner.owner import current_owner
from remotemod.requests import Invoke
from remotemod.rpc.cluster import Cluster, current_cluster
from remotemod.rpc.ref import RemoteRef
from remotemod.stub.loader import StubName
from remotemod.torch_compat.script import is_script_module

__all__ = ["Part", "announce", "find_part", "publish", "route_to", "way_to"]


class Part(NamedTuple):
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


def publish(binding: Binding, name: str) -> None:
    """Makes a remote module known to its owner under a name; the last one of that name is found.

    A name keeps nothing alive: it goes with the module's last handle.
    """
    stub = StubName(binding.stub.digest, binding.stub.declaration)
    part = Part(None, binding.device, stub, binding.kind, binding.recompute)
    binding.cluster.load(binding.worker, binding.loaded).wait()
    # The cluster's bound, not the handle's: that one is for the user's calls.
    binding.cluster.call(binding.worker, Invoke(_remember, (binding.ref, name, part)))


def announce(binding: Binding, ref: str) -> None:
    """From now on operators find the module by its reference string, here and in other processes."""
    if ROUTER.keep(ref, binding):
        publish(binding, ref)


def find_part(cluster: Cluster, name: str) -> Part | None:
    """The remote module of a name on a cluster; None if no worker has one.

    Raises:
        PlacementError: several workers have one.
        WorkerLost: a worker is gone, and the others have none.
    """
    request = Invoke(_remembered, (name,))
    asked = [(worker, cluster.submit(worker, request)) for worker in cluster.workers]
    found: dict[str, Part] = {}
    lost = None
    for worker, future in asked:
        try:
            part = future.wait()
        except WorkerLost as error:
            lost = error
        else:
            if part is not None:
                found[worker] = part
    if len(found) > 1:
        raise PlacementError(
            f"there are remote modules called '{name}' on {', '.join(sorted(found))}: give each a name of its own"
        )
    if lost is not None and not found:
        raise lost
    return next(iter(found.values()), None)


def way_to(part: Part, cluster: Cluster) -> Binding:
    """How calls reach a part that was found on a cluster."""
    return Binding(
        cluster, part.ref, part.device, part.stub, None, part.kind, False, part.recompute
    )


def route_to(name: str) -> Binding:
    """The way to the remote module of a name, on the current cluster or in this process.

    Raises:
        PlacementError: there is none, or nowhere to look for it.
        WorkerLost: as :func:`find_part` has it.
    """
    current = current_cluster()
    clusters = [process_cluster()] if current is None else [current, process_cluster()]
    for cluster in clusters:
        part = find_part(cluster, name)
        if part is not None:
            return way_to(part, cluster)
    where = "there is no current cluster" if current is None else f"{current!r} has none"
    raise PlacementError(
        f"no remote module is called '{name}': {where}. Open the cluster on which it lives first "
        f"(rm.connect, rm.launch), or build it there with rm.RemoteModule(…, name='{name}')"
    )


# --- on the owner -----------------------------------------------------------------------------


def _remember(ref: RemoteRef[nn.Module], name: str, part: Part) -> None:
    owner = current_owner()
    assert owner is not None
    owner.names[name] = _weakly(remote_module(ref)), part


def _remembered(name: str) -> Part | None:
    owner = current_owner()
    assert owner is not None
    found = owner.names.get(name)
    if found is None:
        return None
    module, part = found
    value = module()
    if value is None:
        del owner.names[name]
        return None
    kept: Part = part._replace(ref=owner.keep(value))
    return kept


def _weakly(module: nn.Module) -> Callable[[], nn.Module | None]:
    if is_script_module(module):
        return lambda: (
            module
        )  # engines keep the compiled module and make its Python form as they need it
    return weakref.ref(module)
