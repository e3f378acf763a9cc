"""Modules, interfaces and functions that the tests of torch_rpc run on workers."""

from __future__ import annotations

import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.distributed.rpc import RRef

import remotemod as rm
from remotemod.backends.torch_rpc.native import NativeKey
from remotemod.testing.scripts import Doubler


def is_native(remote: rm.RemoteModule) -> bool:
    """Whether calls of a remote module run in TorchScript alone."""
    return isinstance(remote._client._key, NativeKey)


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


@torch.jit.interface
class ManyInterface:
    def forward(self, x: Tensor, times: int = 2) -> Tensor:
        pass

    def maybe(self, x: Optional[Tensor]) -> Optional[Tensor]:
        pass

    def table(self, x: Dict[str, Tensor], scale: float) -> Dict[str, List[Tensor]]:
        pass

    def pair(self, x: Tensor) -> Pair:
        pass

    def number(self, x: Tensor) -> float:
        pass

    def nothing(self) -> None:
        pass

    def named(self, x: Tensor, *, word: str) -> Tuple[str, Tensor]:
        pass


class Many(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor, times: int = 2) -> Tensor:
        if times < 0:
            raise ValueError("times must not be negative")
        y = x * times * self.weight
        for _ in range(times if times > 1000 else 0):
            y = y * 1.0 + 0.0
        return y

    @torch.jit.export
    def maybe(self, x: Optional[Tensor]) -> Optional[Tensor]:
        return None if x is None else x + 1

    @torch.jit.export
    def table(self, x: Dict[str, Tensor], scale: float) -> Dict[str, List[Tensor]]:
        return {k: [v, v * scale] for k, v in x.items()}

    @torch.jit.export
    def pair(self, x: Tensor) -> Pair:
        return Pair(x, x + 1)

    @torch.jit.export
    def number(self, x: Tensor) -> float:
        return float(x.sum())

    @torch.jit.export
    def nothing(self) -> None:
        pass

    @torch.jit.export
    def named(self, x: Tensor, *, word: str) -> Tuple[str, Tensor]:
        return word, x


def scripted_many() -> nn.Module:
    return torch.jit.script(Many())


def scripted_doubler() -> nn.Module:
    return torch.jit.script(Doubler())


def follow(ref: RRef[ManyInterface], x: Tensor) -> Tensor:
    """A user's own scripted function over a typed reference."""
    return ref.local_value().forward(x, 5)


def compile_follow() -> None:
    """What a user's program does on each worker."""
    torch.jit.script(follow)


class Slow(nn.Module):
    def forward(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds


class SlowToBuild(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        time.sleep(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x


class Mine(rm.RemoteModule):
    """A user's subclass."""

    def twice(self, x: Tensor) -> Tensor:
        return self(self(x))


def run(module: nn.Module, x: Tensor) -> Tensor:
    return module(x)


def run_twice(module: Mine, x: Tensor) -> Tensor:
    return module.twice(x)


def from_reference(ref: RRef[nn.Module], x: Tensor) -> Tuple[bool, Tensor]:
    """What torch's documentation recommends for scripted modules: send the reference, build a handle there."""
    remote = rm.RemoteModule.init_from_module_rref("one/cpu", ref, interface=ManyInterface)
    return is_native(remote), torch.jit.script(remote)(x)


def loaded_modules() -> set[str]:
    """The names of the modules that a worker has loaded."""
    return set(sys.modules)


def call_and_script(remote: rm.RemoteModule, x: Tensor) -> Tuple[bool, Tensor, set[str]]:
    """On a third worker: calls a handle, scripts it, and calls that."""
    with torch.no_grad():
        result = torch.jit.script(remote)(remote(x, 2), 3)
    return is_native(remote), result, loaded_modules()


def gradient(parameter: Any) -> Any:
    """The gradient of a parameter on its owner."""
    return parameter.local_value().grad
