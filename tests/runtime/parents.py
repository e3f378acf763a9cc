"""Models that are built twice, with remote parts and without, and what tests ask of the remote ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.owner.module_functions import remote_module


class Block(nn.Module):
    """Has buffers that are saved and one that is not, and a submodule with a version of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.BatchNorm1d(3))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int32))
        self.register_parameter("nothing", None)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.norm(self.first(x)))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)
        self.out = nn.Linear(3, 5, bias=False)
        self.out.weight = self.table.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.table(x))


class Extra(nn.Module):
    """Keeps what is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.said = "nothing"

    def say(self, word: str) -> None:
        self.said = word

    def forward(self) -> str:
        return self.said

    def get_extra_state(self) -> dict[str, Any]:
        return {"said": self.said}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.said = state["said"]


class Renaming(nn.Module):
    """Saves and loads under other names, by hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.register_state_dict_post_hook(Renaming.rename)
        self.register_load_state_dict_pre_hook(Renaming.rename_back)
        self.register_load_state_dict_post_hook(Renaming.forgive)

    def rename(self, state: dict[str, Any], prefix: str, metadata: Any) -> None:
        state[prefix + "renamed"] = state.pop(prefix + "weight")
        metadata["seen"] = prefix

    def rename_back(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        if prefix + "renamed" in state:
            state[prefix + "weight"] = state.pop(prefix + "renamed")

    def forgive(self, keys: Any) -> None:
        keys.missing_keys.clear()

    def forward(self) -> Tensor:
        return self.weight


class Mixed(nn.Module):
    """A parent with children of its own between those that may be remote.

    Args:
        make: builds a child of a class for a worker.
    """

    def __init__(self, make: Callable[[str, type[nn.Module]], nn.Module]) -> None:
        super().__init__()
        self.before = nn.Linear(1, 2)
        self.boxes = nn.ModuleDict({"a": nn.Sequential(make("one", Block), nn.Linear(2, 2))})
        self.norm = nn.BatchNorm1d(2)
        self.parts = nn.ModuleList([make("two", Tied), nn.Linear(1, 1), make("one", Extra)])
        self.again = self.parts[0]
        self.renaming = make("two", Renaming)
        self.empty = make("one", nn.Identity)
        self.script = make("two", scripted)  # type: ignore[arg-type]


def scripted() -> nn.Module:
    return torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))


def twins(cluster: rm.Cluster) -> tuple[Mixed, Mixed]:
    """The same model with remote children and without, of equal weights."""
    remote = Mixed(lambda worker, cls: rm.RemoteModule(worker, cls, cluster=cluster))
    local = Mixed(lambda worker, cls: cls())
    remote.load_state_dict(copy.deepcopy(local.state_dict()))
    return remote, local


class Held(nn.Module):
    """Has the tensors it is given as buffers."""

    def __init__(self, **tensors: Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def forward(self) -> list[str]:
        return [name for name, _ in self.named_buffers()]


class Table(nn.Module):
    def __init__(self, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((rows, 256), 0.5))

    def forward(self, row: int) -> Tensor:
        return self.weight[row].detach()


def clear(module: nn.Module) -> None:
    for tensor in module.state_dict().values():
        tensor.zero_()


def on_owner(handle: rm.RemoteModule, function: Callable[[nn.Module], Any]) -> Any:
    """What a function makes of the remote module, where it is."""
    return rm.rpc_sync(handle.on, _look, (handle.get_module_rref(), function))


def _look(ref: rm.RemoteRef[nn.Module], function: Callable[[nn.Module], Any]) -> Any:
    return function(remote_module(ref))
