"""Look remote modules up by their names."""

from __future__ import annotations

from typing import Any

from remotemod.handles.module import RemoteModule
from remotemod.handles.named import look_up
from remotemod.rpc.cluster import Cluster

__all__ = ["lookup"]


def lookup(
    name: str,
    *,
    interface: Any = None,
    cluster: Cluster | None = None,
    timeout: float | None = None,
) -> RemoteModule:
    """A handle on the remote module of a name, from any process of its cluster.

    Args:
        name: the ``name`` of ``rm.RemoteModule`` where the module was built.
        interface: what can be called, as ``rm.RemoteModule`` takes it; by default the interface of the module's class.
        cluster: where to look; by default the current cluster, and then this process.
        timeout: seconds that a call of the handle may take; None for the cluster's timeout.

    Raises:
        PlacementError: no worker has a remote module of that name, or several have.
        WorkerLost: a worker is gone, and the others have none.
    """
    cluster, spec = look_up(name, cluster)
    remote_device = f"{spec.ref.owner_name()}/{spec.device}"
    return RemoteModule.init_from_module_rref(
        remote_device, spec.ref, interface, cluster=cluster, timeout=timeout
    )
