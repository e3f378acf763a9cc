"""``torch.distributed.rpc`` beyond its public functions; imported where its workers are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch.distributed.rpc as rpc

from remotemod.errors import BackendUnavailable
from remotemod.torch_compat.private import MISSING, Private

__all__ = [
    "agent_is_running",
    "group",
    "has_device_map",
    "in_autograd_context",
    "is_pickling",
    "meetings",
    "on_pickled_script",
    "reduce_script",
    "reference_class",
    "resume_meetings",
    "worker_names",
]

_AGENT_IS_SET = Private(
    "torch._C._distributed_rpc._is_current_rpc_agent_set",
    relied_on="tells whether init_rpc has been called, and shutdown not yet",
    without="the agent is asked for, and torch raises without one",
    instead="torch.distributed.rpc.get_worker_info",
)
_AGENT = Private(
    "torch._C._distributed_rpc._get_current_rpc_agent",
    relied_on="the process's RPC agent: the workers it knows and its device maps",
    without="the names of the workers must be given, and tensors always travel through the CPU",
)
_ALL_WORKERS = Private(
    "torch.distributed.rpc.api._ALL_WORKER_NAMES",
    relied_on="is another object after each init_rpc, by which a new group is told from the one before",
    without="handles of a group that was shut down are not refused when the process joins another",
)
_REFERENCE = Private(
    "torch._C._distributed_rpc.PyRRef",
    relied_on="the class of references that torch itself makes",
    without="torch_rpc cannot be used",
)
_CONTEXT = Private(
    "torch._C._distributed_autograd._current_context",
    relied_on="raises outside of a torch.distributed.autograd context",
    without="calls in a torch.distributed.autograd context are recorded for plain backward(), not for the context",
)
_PICKLER = Private(
    "torch.distributed.rpc.internal._internal_rpc_pickler",
    relied_on="takes a reducer for a class, so that scripted remote modules can be sent by torch's own RPC",
    without="scripted remote modules cannot be sent by torch's own RPC",
)
_PICKLING = Private(
    "torch.distributed.rpc.internal._thread_local_tensor_tables",
    relied_on="has send_tables while this thread is inside of torch's RPC pickler",
    without="handles cannot be sent by torch's own RPC, only by remotemod's",
)
_INITS = Private(
    "torch.distributed.rpc._init_counter",
    relied_on="how often this process has called init_rpc: a part of the keys by which members meet",
    without="a process can launch one group of torch_rpc workers, and no second one",
)
_GATHERINGS = Private(
    "torch.distributed.rpc.api._all_gather_sequence_id",
    relied_on="how often this process has met others: a part of the keys by which members meet",
    without="a process can launch one group of torch_rpc workers, and no second one",
)


def agent_is_running() -> bool:
    """Whether ``init_rpc`` has been called, and ``shutdown`` not yet."""
    if not rpc.is_available():
        return False
    is_set = _AGENT_IS_SET.found
    if is_set is not MISSING:
        return bool(is_set())
    try:
        rpc.get_worker_info()
    except RuntimeError:
        return False
    return True


def group() -> Any:
    """An object that changes with each ``init_rpc``."""
    if _ALL_WORKERS.is_here:
        return rpc.api._ALL_WORKER_NAMES  # a name that is bound anew: looked up each time
    return rpc


def worker_names() -> list[str]:
    """The workers that this process's agent knows, by rank."""
    infos = _AGENT.require(BackendUnavailable)().get_worker_infos()
    return [info.name for info in sorted(infos, key=lambda info: info.id)]


def has_device_map(worker: str) -> bool:
    """Whether device tensors travel to a worker as they are."""
    if not _AGENT.is_here:
        return False
    agent = _AGENT.found()
    return bool(agent._get_device_map(agent.get_worker_info(worker)))


def reference_class() -> Any:
    """The class of references that torch itself makes.

    Raises:
        BackendUnavailable: this torch does not say.
    """
    return _REFERENCE.require(BackendUnavailable)


def in_autograd_context() -> bool:
    """Whether this thread is in a ``torch.distributed.autograd`` context."""
    if not _CONTEXT.is_here:
        return False
    try:
        _CONTEXT.found()
    except RuntimeError:
        return False
    return True


def is_pickling() -> bool:
    """Whether this thread is inside of torch's RPC pickler."""
    return _PICKLING.is_here and hasattr(_PICKLING.found, "send_tables")


def reduce_script(module: Any) -> Any:
    """The reduction of a scripted module by torch's RPC pickler."""
    return _PICKLER.require(BackendUnavailable)._script_module_reducer(module)


def on_pickled_script(cls: type, reduce: Callable[[Any], Any]) -> None:
    """Have torch's RPC pickler reduce scripted modules by ``reduce``."""
    if _PICKLER.is_here:
        _PICKLER.found._class_reducer_dict[cls] = reduce


def meetings() -> Mapping[str, Any]:
    """How often this process has joined groups; a new process needs the same numbers to join the next one."""
    return {
        "inits": rpc._init_counter if _INITS.is_here else 0,
        "gatherings": dict(_GATHERINGS.get({})),
    }


def resume_meetings(counts: Mapping[str, Any]) -> None:
    """Take over another process's :func:`meetings`."""
    if _INITS.is_here:
        rpc._init_counter = counts["inits"]
    if _GATHERINGS.is_here:
        _GATHERINGS.found.update(counts["gatherings"])
