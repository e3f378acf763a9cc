"""The result of a remote module from shapes alone: the module itself is run in this process, without its data."""

from __future__ import annotations

import io
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import cloudpickle
import torch
from torch import Tensor, nn

from remotemod.errors import RemoteModError
from remotemod.handles.client import Client
from remotemod.owner.module_functions import remote_module
from remotemod.process import Slot, slot
from remotemod.rpc.ref import RemoteRef
from remotemod.trees import move

__all__ = ["outside", "shapes_of"]

_SKELETONS: Slot[weakref.WeakKeyDictionary[Client, bytes]] = slot(
    "modules without their data", weakref.WeakKeyDictionary
)


def shapes_of(client: Client, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of a method with tensors that have no data, for arguments that have none.

    It comes from the user's rule (``fake=``), or else from the module: its owner sends it without the
    data of its tensors, and it runs in this process on torch's fake tensors.

    Args:
        client: the remote module.
        method: its method.
        args: positional arguments; their tensors are fake ones.
        kwargs: likewise.

    Raises:
        RemoteModError: neither gives a result.
    """
    rule = client.fakes.get(method)
    try:
        if rule is None:
            # All on the CPU, wherever the tensors are: only shapes matter.
            args, kwargs = move((args, kwargs), "cpu")
            module = pickle.loads(_skeleton(client))
            rule = module if method == "forward" else getattr(module, method)
        with torch.no_grad():
            result = rule(*args, **kwargs)
        return move(result, client.device if client.is_device_map_set else "cpu")
    except Exception as error:
        raise RemoteModError(
            f"the shapes that {client.kind}.{method} on '{client.worker}' returns cannot be found by running "
            f"{'it' if method not in client.fakes else 'its rule (fake=)'} without data ({_shown(error)}). Say them "
            f"yourself: RemoteModule(…, fake={{'{method}': rule}}), where rule takes the method's arguments and returns "
            "what the method does, made of empty tensors of the right shapes"
        ) from error


def _shown(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def outside(function: Callable[..., Any], *args: Any) -> Any:
    """Run a function without tracing: in a thread of its own, where no mode of torch's is on."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function(*args))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="remotemod-outside")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _skeleton(client: Client) -> bytes:
    skeleton = _SKELETONS.value.get(client)
    if skeleton is None:
        skeleton = outside(client.invoke, _without_data, (client.ref,))
        _SKELETONS.value[client] = skeleton
    return skeleton


# --- on the owner -----------------------------------------------------------------------------


def _without_data(ref: RemoteRef[nn.Module]) -> bytes:
    file = io.BytesIO()
    _Pickler(file).dump(remote_module(ref))
    return file.getvalue()


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]  # untyped
    """A pickler that writes each tensor as its shape."""

    def reducer_override(self, obj: Any) -> Any:
        """The reduction of an object."""
        if isinstance(obj, Tensor) and obj.layout is torch.strided:
            shape = (tuple(obj.shape), obj.stride(), obj.dtype, obj.requires_grad)
            return _empty, (isinstance(obj, nn.Parameter), *shape)
        return super().reducer_override(obj)


def _empty(
    is_parameter: bool,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    dtype: torch.dtype,
    requires_grad: bool,
) -> Tensor:
    # On the device of the caller's tensors: a fake tensor on another device would be refused.
    tensor = torch.empty_strided(size, stride, dtype=dtype)
    if is_parameter:
        return nn.Parameter(tensor, requires_grad)
    return tensor.requires_grad_(requires_grad)
