"""Pack handles for other processes: the spec is sent, not the module."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from remotemod.handles.attach import attach
from remotemod.handles.client import Client
from remotemod.handles.members import own_client
from remotemod.handles.signatures import with_signatures
from remotemod.handles.spec import HandleSpec
from remotemod.handles.stub_class import define_stub_operators, user_class
from remotemod.rpc.cluster import Cluster
from remotemod.stub.loader import load_stub

__all__ = ["PackedHandle", "pack_handle", "unpack_handle"]


class PackedHandle(NamedTuple):
    """A handle as it is sent. The stub comes first: it must be loaded before the reference, which may be typed by it.

    Attributes:
        text: the stub's text.
        injected: the objects that the text cannot import.
        cls: the handle's own class, below generated ones.
        spec: everything else that makes the handle, with the stub's name alone.
        training: the handle's mode.
    """

    text: str
    injected: dict[str, object]
    cls: Any
    spec: HandleSpec
    training: bool


def pack_handle(handle: nn.Module, cls: type | None = None) -> PackedHandle:
    """Pack a handle.

    Args:
        handle: the handle; scripted ones too.
        cls: its class before it was scripted; by default its own.
    """
    client = own_client(handle)
    stub = client.loaded
    own = user_class(cls or type(handle))
    return PackedHandle(
        stub.text, dict(stub.injected), own, client.spec.named_stub(), handle.training
    )


def unpack_handle(packed: PackedHandle, cluster: Cluster) -> Any:
    """The handle in the receiving process, which needs neither the interface nor the generator.

    Args:
        packed: the packed handle.
        cluster: reaches the module's owner from this process.
    """
    stub = load_stub(packed.text, packed.injected)
    define_stub_operators(stub)
    handle = packed.cls.__new__(packed.cls)
    nn.Module.__init__(handle)
    client = Client(cluster, packed.spec._replace(stub=stub))
    attach(handle, client, with_signatures(packed.cls, stub, {}))
    handle.training = packed.training
    return handle
