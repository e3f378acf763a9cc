"""One test for each thing that ``torch.distributed.nn.RemoteModule`` gets wrong and that needs no GPU.

The numbers in the tests' names: (1) results that lose their structure or fail when tensors are moved; (2) a single Tensor or
Optional result, scripted, with moves; (3) cache keys that collide, failed and half-built modules in the cache; (4) zero
arguments, lost defaults, odd types; (5) nested, local and ``__main__`` interfaces; (6) parameter names; (7) methods beside
``forward``; (10) handles from references, sending subclasses; (11) failing constructors.
"""

from __future__ import annotations

import concurrent.futures
import inspect
import sys
import types
from collections import namedtuple
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.stub.loader import load_stub

Pair = namedtuple("Pair", ["x", "y"])


class Shapes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, kind: str, x: Tensor) -> Any:
        y = self.weight * x
        return {
            "tensor": y,
            "dict": {"a": y},
            "scalar": torch.ones((), device=x.device),
            "none": None,
            "int": 3,
            "named": Pair(y, y),
            "nested": [(y, {"deep": [y]})],
        }[kind]


@pytest.mark.parametrize("kind", ["tensor", "dict", "scalar", "none", "int", "named", "nested"])
def test_1_every_result_keeps_its_structure_in_the_device_moving_variant(
    shm: rm.Cluster, kind: str
) -> None:
    """On an accelerator (meta stands in for it) inputs are moved and every structure comes back."""
    remote = rm.RemoteModule("ps0/meta", Shapes)
    assert "move_to_caller" in remote._client.stub.text
    with torch.no_grad():
        found = remote(kind, torch.ones(2))
        expected = Shapes().to("meta")(kind, torch.ones(2, device="meta"))
    assert _shape_of(found) == _shape_of(expected)


def _shape_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        return ("tensor", value.device.type, tuple(value.shape))
    if isinstance(value, dict):
        return {k: _shape_of(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [_shape_of(v) for v in value])
    return value


@torch.jit.interface
class OneTensor(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass


@torch.jit.interface
class MaybeTensor(nn.Module):
    def forward(self, x: Tensor | None) -> Tensor | None:
        pass


class Same(nn.Module):
    def forward(self, x: Tensor | None) -> Tensor | None:
        return x


@pytest.mark.parametrize("interface", [OneTensor, MaybeTensor])
def test_2_a_scripted_single_result_exists_in_the_device_moving_variant(
    shm: rm.Cluster, interface: type
) -> None:
    """Scripted, with device moves, and returning one Tensor or an Optional."""
    scripted = torch.jit.script(rm.RemoteModule("ps0/meta", Same, interface=interface))
    found = scripted(torch.ones(2, 3))
    assert (found.device.type, found.shape) == ("meta", (2, 3))


def test_3_the_two_variants_do_not_share_a_cache_entry(shm: rm.Cluster) -> None:
    """The plain and the device-moving stub of one interface are two modules."""
    plain = rm.RemoteModule("ps0/cpu", Same, interface=OneTensor)
    moving = rm.RemoteModule("ps0/meta", Same, interface=OneTensor)
    assert ".to(device)" not in plain._client.stub.text
    assert ".to(device)" in moving._client.stub.text


def test_3_names_that_flatten_alike_do_not_collide(
    shm: rm.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``a_b.c.I`` and ``a.b_c.I`` are two interfaces."""
    source = "import torch\nfrom torch import nn\nclass I(nn.Module):\n    def forward(self, {0}):\n        return {0}\n"
    for package, module, name in (("a_b", "c", "left"), ("a", "b_c", "right")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / f"{module}.py").write_text(source.format(name))
    monkeypatch.syspath_prepend(tmp_path)
    stubs = [rm.render(rm.read_interface(target)) for target in ("a_b.c:I", "a.b_c:I")]
    classes = [load_stub(text).cls for text in stubs]
    assert [list(inspect.signature(c.forward).parameters)[1] for c in classes] == ["left", "right"]


def test_3_a_failed_load_poisons_nothing() -> None:
    """A text that fails leaves no module behind, and a good one loads afterwards."""
    bad = rm.render(rm.read_interface(Same)).replace("STUB = ", "raise KeyError\nSTUB = ")
    for _ in range(2):
        with pytest.raises(KeyError):
            load_stub(bad)
    assert load_stub(rm.render(rm.read_interface(Same))).remote_methods


def test_3_concurrent_loads_see_whole_modules() -> None:
    """Many threads that load one text at once get the same complete stub."""
    text = rm.render(rm.read_interface(Shapes)) + "# once\n"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        stubs = list(pool.map(load_stub, [text] * 32))
    assert len({id(stub) for stub in stubs}) == 1
    assert stubs[0].remote_methods["forward"]


@torch.jit.interface
class Nothing(nn.Module):
    def forward(self) -> None:
        pass


@torch.jit.interface
class Mapping(nn.Module):
    def forward(self, x: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        pass


class Silent(nn.Module):
    def forward(self) -> None:
        return None


class Maps(nn.Module):
    def forward(self, x: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        return {k: v + 1 for k, v in x.items()}


def test_4_interfaces_without_arguments_or_with_odd_types_generate(shm: rm.Cluster) -> None:
    """Zero arguments, ``-> None``, ``torch.device`` and dict results all script and run."""
    assert torch.jit.script(rm.RemoteModule("ps0", Silent, interface=Nothing))() is None
    maps = torch.jit.script(rm.RemoteModule("ps0", Maps, interface=Mapping))
    assert maps({"a": torch.ones(1)}, torch.device("cpu"))["a"].item() == 2


@torch.jit.interface
class Defaulted(nn.Module):
    def forward(self, x: Tensor, n: int = 3, word: str = "a'b", far: float = float("inf")) -> str:
        pass


class Tells(nn.Module):
    def forward(self, x: Tensor, n: int = 3, word: str = "a'b", far: float = float("inf")) -> str:
        return f"{n} {word} {far}"


def test_4_defaults_survive(shm: rm.Cluster) -> None:
    """Defaults are those of the interface, called plain and scripted."""
    remote = rm.RemoteModule("ps0", Tells, interface=Defaulted)
    assert remote(torch.ones(1)) == torch.jit.script(remote)(torch.ones(1)) == "3 a'b inf"


class Outer:
    class Inner(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1


def test_5_nested_local_and_main_modules_work(
    shm: rm.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Classes in classes, in functions and in ``__main__`` are remote modules like any other."""

    class Local(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 2

    class InMain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 3

    InMain.__module__, InMain.__qualname__ = "__main__", "InMain"
    monkeypatch.setattr(sys.modules["__main__"], "InMain", InMain, raising=False)
    for added, cls in enumerate((Outer.Inner, Local, InMain), 1):
        assert rm.RemoteModule("ps1", cls)(torch.zeros(1)).item() == added


def test_5_local_interfaces_are_scriptable(shm: rm.Cluster) -> None:
    """An interface inside a function binds and scripts; the owner never imports it."""

    @torch.jit.interface
    class LocalInterface(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            pass

    scripted = torch.jit.script(rm.RemoteModule("ps1", Same, interface=LocalInterface))
    assert scripted(torch.ones(1)).item() == 1


class Awkward(nn.Module):
    def forward(
        self_,
        self: int,
        device: int,
        module: int,
        module_rref: int,
        is_device_map_set: int,
        rpc: int,
        torch: int,
        ret: int,
        args: tuple[int, ...],
        /,
        given: int = 1,
        Future: int = 2,
        *,
        kwargs: int = 3,
        remotemod: int = 4,
        _remote_forward: int = 5,
    ) -> list[Any]:
        return [v for k, v in sorted(locals().items()) if k != "self_"]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_6_no_parameter_name_breaks_the_stub(shm: rm.Cluster, device: str) -> None:
    """Parameters may be called what generated code calls its own."""
    remote = rm.RemoteModule(f"ps0/{device}", Awkward)
    arguments = (0, 1, 2, 3, 4, 5, 6, 7, (8,))
    assert remote(*arguments, kwargs=9) == Awkward()(*arguments, kwargs=9)


class Policy(Protocol):
    def forward(self, x: Tensor) -> Tensor: ...

    def act(self, x: Tensor, greedy: bool = False) -> int: ...


class Agent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x

    def act(self, x: Tensor, greedy: bool = False) -> int:
        return int(greedy)


def test_7_every_method_of_the_interface_is_generated(shm: rm.Cluster) -> None:
    """Further methods have both forms, on the class, with their signatures."""
    remote = rm.RemoteModule("ps0", Agent, interface=Policy)
    assert (
        remote.act(torch.ones(1), greedy=True) == remote.act_async(torch.ones(1), True).wait() == 1
    )
    assert "act" in vars(type(remote))
    assert "act" not in vars(remote)
    assert inspect.signature(remote.act) == inspect.signature(Agent().act)


class Mine(rm.RemoteModule):
    def shout(self, x: Tensor) -> Tensor:
        result: Tensor = self(x) * 10
        return result


def forward_of(module: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = module(x)
    return result


def test_10_handles_from_a_reference_are_whole_modules(shm: rm.Cluster) -> None:
    """``init_from_module_rref`` gives a handle that can be called, printed and hooked."""
    first = rm.RemoteModule("ps0", Agent)
    second = rm.RemoteModule.init_from_module_rref("ps0/cpu", first.get_module_rref())
    seen: list[Any] = []
    second.register_forward_hook(lambda m, i, o: seen.append(o))
    assert torch.equal(second(torch.ones(1)), torch.ones(1))
    assert len(seen) == 1
    assert "ps0" in repr(second)


def test_10_the_device_string_is_checked_against_the_owner(shm: rm.Cluster) -> None:
    """A reference to ps0 cannot be opened as ps1."""
    ref = rm.RemoteModule("ps0", Agent).module_rref
    with pytest.raises(rm.PlacementError, match="'ps1', but the module lives on 'ps0'"):
        rm.RemoteModule.init_from_module_rref("ps1/cpu", ref)


def test_10_subclasses_and_unscripted_interface_modules_can_be_sent(shm: rm.Cluster) -> None:
    """A subclass arrives as itself, and a handle with an interface needs no import on the way."""
    mine = Mine("ps0", Agent)
    assert rm.rpc_sync("ps1", Mine.shout, (mine, torch.ones(1))).item() == 10
    with_interface = rm.RemoteModule("ps0", Same, interface=OneTensor)
    assert rm.rpc_sync("ps1", forward_of, (with_interface, torch.ones(1))).item() == 1


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        raise FileNotFoundError(2, "no weights", "w.pt")


def test_11_a_failing_constructor_is_heard_with_its_traceback(shm: rm.Cluster) -> None:
    """The remote constructor's error arrives with its own type and the worker's traceback."""
    with pytest.raises(FileNotFoundError) as caught:
        rm.RemoteModule("ps0", Broken, interface=OneTensor)
    assert caught.value.errno == 2
    assert "in __init__" in str(caught.value)


def test_the_stub_needs_no_import_of_its_own_module_on_the_owner(shm: rm.Cluster) -> None:
    """Stubs live in no module that could be imported, so that owners cannot miss one."""
    remote = rm.RemoteModule("ps0", Agent)
    assert isinstance(remote._client.stub.module, types.ModuleType)
    assert PathFinder.find_spec(type(remote).__module__) is None
    assert rm.rpc_sync("ps1", class_of, (remote,)) == type(remote).__name__


def class_of(handle: Any) -> str:
    """The class that a handle has on another worker."""
    return type(handle).__name__
