"""Make an object the handle on a module, new or existing."""

from __future__ import annotations

import itertools
import os
import uuid
from typing import Any

from torch import nn

from remotemod.handles.client import Client
from remotemod.handles.directory import DIRECTORY
from remotemod.handles.members import set_client
from remotemod.handles.named import publish
from remotemod.handles.spec import HandleSpec
from remotemod.handles.stub_class import FactoryClass, StubClass
from remotemod.process import Slot, slot
from remotemod.requests import Build, Built
from remotemod.rpc.cluster import Cluster
from remotemod.torch_compat.modules import parameters_of, with_parameters
from remotemod.torch_compat.tracing import FX_LEAF
from remotemod.torch_compat.walks import RemoteParameters, check_walks

__all__ = ["attach", "build_for"]

_PROCESS: Slot[str] = slot(
    "the prefix of this process's reference strings", lambda: uuid.uuid4().hex[:8]
)
_NUMBERS: Slot[itertools.count[int]] = slot("numbers this process's handles", itertools.count)


def build_for(
    handle: nn.Module,
    cluster: Cluster,
    worker: str,
    request: Build,
    stub_class: StubClass | None,
    device: str,
    *,
    timeout: float | None = None,
    name: str | None = None,
    recompute: bool = False,
) -> Built:
    """Have a module built and make an object the handle on it.

    Args:
        handle: a ``RemoteModule`` that is no handle yet.
        cluster: the worker's cluster.
        worker: builds the module and keeps it.
        request: the module to build.
        stub_class: the handle's class and stub; None where only the owner can read the interface.
        device: the module's device.
        timeout: seconds that a call may take; None for the cluster's timeout.
        name: a name for the module.
        recompute: whether the owner keeps no graphs, and runs calls again in backward.

    Raises:
        Exception: the error of the module's constructor.
    """
    if stub_class is None:
        factory = FactoryClass(type(handle), request.target, device)
        built = cluster.build(worker, request._replace(known=factory.known), None, timeout)
        stub_class = factory.stub_class(built.interface)
        cluster.load(worker, stub_class.stub).wait()
    else:
        built = cluster.build(worker, request, stub_class.stub, timeout)
    spec = HandleSpec(
        built.ref, device, stub_class.stub, built.kind, timeout, built.extension, recompute
    )
    attach(handle, Client(cluster, spec), stub_class.cls, name)
    return built


def attach(handle: Any, client: Client, cls: type, name: str | None = None) -> None:
    """Make an object the handle on a client's module.

    Args:
        handle: the object.
        client: the module's client.
        cls: the class that the handle gets.
        name: a name for the module.
    """
    check_walks()
    # Workers are forked from one process, and differ in their process id alone.
    own = f"{client.worker}/{_PROCESS.value}.{os.getpid()}.{next(_NUMBERS.value)}"
    ref = name or own
    # Past nn.Module.__setattr__, which checks each value for parameters.
    vars(handle).update(
        on=client.worker,
        device=client.device,
        is_device_map_set=client.is_device_map_set,
        is_scriptable=client.stub.declaration.form == "scripted",
        module_rref=client.ref,
        _ref=ref,
        _named=name is not None,
        __module__=FX_LEAF,
        **with_parameters(RemoteParameters(handle, parameters_of(handle))),
    )
    set_client(handle, client)
    DIRECTORY.enter(ref, client)
    handle.__class__ = cls
    if name is not None:
        DIRECTORY.forget(name)
        publish(client, name)
