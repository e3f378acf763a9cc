"""The canary: each behaviour of torch's that remotemod relies on in private, by name, and what happens without it."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

import remotemod as rm
from remotemod.torch_compat import engine, modules, paths, rpc, script, tensors, tracing, walks
from remotemod.torch_compat.catalogue import TOPICS, catalogue
from remotemod.torch_compat.private import MISSING, Private

ROOT = Path(__file__).parent.parent
ALL = {private.name: private for topic in catalogue().values() for private in topic}


@pytest.fixture
def without() -> Iterator[Callable[..., None]]:
    """Has names be missing for a test."""
    hidden: list[tuple[Private, Any]] = []

    def hide(*names: str) -> None:
        for name in names:
            private = ALL[name]
            hidden.append((private, private.found))
            vars(private)["found"] = MISSING

    yield hide
    for private, found in reversed(hidden):
        vars(private)["found"] = found


# --- all is there, on the versions that we say we run on -----------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_torch_has(name: str) -> None:
    """This torch has the name, and what is relied on and what happens without it is said."""
    private = ALL[name]
    assert private.is_here, private.complaint()
    assert private.relied_on
    assert private.without


def test_every_topic_has_names() -> None:
    """No topic is lost by an import that fails."""
    assert all(catalogue()[topic] for topic in TOPICS)


# --- autograd ----------------------------------------------------------------------------------


def test_a_profiler_is_seen() -> None:
    """Calls need a name for the profiler only while there is one."""
    assert not engine.is_profiling()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
        assert engine.is_profiling()


def test_transforms_are_seen() -> None:
    """``torch.func`` says when it is at work."""
    seen: list[bool] = []
    torch.func.vmap(lambda x: seen.append(engine.transforms_are_active()) or x)(torch.ones(2))
    assert seen == [True]
    assert not engine.transforms_are_active()


def test_forward_mode_has_levels() -> None:
    """The level is negative outside of ``dual_level()``."""
    assert engine.dual_level() < 0
    with forward_ad.dual_level():
        assert engine.dual_level() >= 0


class _Asks(torch.autograd.Function):
    seen: list[tuple[bool, bool]] = []
    anchor: Any = None

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, anchor: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        _Asks.seen.append((engine.keeps_graph(), engine.will_execute(_Asks.anchor)))
        return grad * 2, None


def test_a_pass_says_what_it_keeps_and_where_it_goes() -> None:
    """``backward()`` comes to the anchor and ``grad()`` for some inputs does not; retaining is seen."""
    x = torch.ones(1, requires_grad=True)
    anchor = torch.ones(1, requires_grad=True)
    _Asks.anchor = torch.autograd.graph.get_gradient_edge(anchor).node
    _Asks.seen.clear()
    out: Any = _Asks.apply(x, anchor)
    torch.autograd.grad(out, x, retain_graph=True)
    out.backward()
    assert _Asks.seen == [(True, False), (False, True)]


def test_batched_gradients_have_no_memory() -> None:
    """What vmap makes is told from tensors with memory, with the private name and without."""
    seen: list[bool] = []
    torch.func.vmap(lambda x: seen.append(engine.has_memory_of_its_own(x)) or x)(torch.ones(2))
    assert seen == [False]
    assert engine.has_memory_of_its_own(torch.ones(1))


def test_batched_gradients_are_told_in_public(without: Callable[..., None]) -> None:
    """Without the private name the storage is asked for."""
    without("torch._C._has_storage")
    test_batched_gradients_have_no_memory()


def test_nodes_written_in_python_are_told_in_public() -> None:
    """``FunctionCtx`` is the base of every node that is written in Python, and of no other."""
    x = torch.ones(1, requires_grad=True)
    made: Any = _Asks.apply(x, x)
    assert isinstance(made.grad_fn, torch.autograd.function.FunctionCtx)
    assert not isinstance((x * 2).grad_fn, torch.autograd.function.FunctionCtx)


# --- tensors -----------------------------------------------------------------------------------


def test_lazy_zeros_are_told() -> None:
    """They have no memory until they are cloned."""
    assert tensors.is_lazy_zero(torch._efficientzerotensor(2))
    assert not tensors.is_lazy_zero(torch.zeros(2))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")  # torch's own
@pytest.mark.parametrize("public", [False, True])
def test_sparse_tensors_come_apart(public: bool, without: Callable[..., None]) -> None:
    """Indices and values make the tensor again."""
    if public:
        without("torch.Tensor._indices")
    given = torch.sparse_coo_tensor([[0, 0, 2]], [1.0, 2.0, 3.0], (3,), check_invariants=True)
    coalesced, indices, values = tensors.coo_parts(given)
    again = torch.sparse_coo_tensor(
        indices, values, given.shape, is_coalesced=coalesced, check_invariants=True
    )
    assert coalesced == public
    assert torch.equal(again.to_dense(), given.to_dense())


def test_jagged_tensors_say_where_they_are_ragged(without: Callable[..., None]) -> None:
    """The number is that of the dimension; a tensor without it is refused."""
    jagged = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)], layout=torch.jagged)
    assert tensors.ragged_dimension(jagged) == 1
    assert tensors.ragged_dimension(jagged.transpose(1, 2)) == 2
    with pytest.raises(rm.ProtocolError, match="jagged"):
        tensors.ragged_dimension(torch.ones(1))


@pytest.mark.parametrize("public", [False, True])
def test_typed_storages_have_bytes(public: bool, without: Callable[..., None]) -> None:
    """Both ways lead to the same bytes, and neither warns."""
    if public:
        without("torch.storage.TypedStorage._untyped_storage")
    tensor = torch.ones(3)
    assert tensors.untyped(tensor._typed_storage()).data_ptr() == tensor.data_ptr()


def test_changes_in_place_are_counted(without: Callable[..., None]) -> None:
    """Each raises the version; where torch does not count, nobody claims that nothing changed."""
    tensor = torch.ones(1)
    before = tensors.version_of(tensor)
    tensor.add_(1)
    assert tensors.version_of(tensor) != before
    without("torch.Tensor._version")
    assert tensors.version_of(tensor) is None


@pytest.mark.parametrize("public", [False, True])
def test_many_tensors_at_once(public: bool, without: Callable[..., None]) -> None:
    """Norms and products are those of each tensor."""
    if public:
        without("torch._foreach_norm", "torch._foreach_mul_")
    given = [torch.tensor([3.0, 4.0]), torch.tensor([1.0])]
    assert [float(norm) for norm in tensors.norm_of_all(given, 2.0)] == [5.0, 1.0]
    assert tensors.norm_of_all([], 2.0) == []
    tensors.multiply_all_(given, torch.tensor(2.0))
    assert given[0].tolist() == [6.0, 8.0]


# --- modules -----------------------------------------------------------------------------------


def test_walks_of_a_parent_reach_remote_children(
    without: Callable[..., None], recwarn: pytest.WarningsRecorder
) -> None:
    """The probe passes; where it does not, the first handle warns and says what to call instead."""
    walks.check_walks.cache_clear()
    walks.check_walks()
    assert not recwarn
    without("torch.nn.Module.zero_grad, its frames")
    walks.check_walks.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"zero_grad\(\) does not reach its remote children"):
        walks.check_walks()
    walks.check_walks.cache_clear()


def test_members_are_the_modules_own() -> None:
    """Changing the dicts changes the module."""
    module = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    assert list(modules.children_of(module)) == ["0", "1"]
    assert list(modules.parameters_of(module[0])) == ["weight", "bias"]
    assert "running_mean" in modules.buffers_of(module[1])
    other = nn.Module()
    vars(other).update(modules.with_children(modules.children_of(module)))
    module.append(nn.ReLU())
    assert len(list(other.children())) == 3


def test_states_carry_versions() -> None:
    """``load_state_dict`` reads them where ``state_dict`` has put them."""
    assert modules.metadata_of(nn.BatchNorm1d(1).state_dict())[""]["version"] == 2
    assert modules.metadata_of(modules.new_state({}, {"": {"version": 1}}))[""]["version"] == 1
    assert modules.metadata_of(OrderedDict()) is None


@pytest.mark.parametrize("public", [False, True])
def test_missing_keys_have_their_class(public: bool, without: Callable[..., None]) -> None:
    """Two fields, and a text that says that all is well."""
    if public:
        without("torch.nn.modules.module._IncompatibleKeys")
    found = modules.incompatible_keys(["a"], [])
    assert (found.missing_keys, found.unexpected_keys) == (["a"], [])


@pytest.mark.parametrize(
    "when", ["state_dict_pre", "state_dict_post", "load_state_dict_pre", "load_state_dict_post"]
)
def test_optimizers_have_hooks(when: str) -> None:
    """What is registered in public is found."""
    optimizer = torch.optim.SGD([torch.ones(1)], lr=1.0)
    what, _, side = when.rpartition("_")
    hook = lambda *_: None
    getattr(optimizer, f"register_{what}_{side}_hook")(hook)
    assert modules.optimizer_hooks(optimizer, when) == [hook]


# --- tracing -----------------------------------------------------------------------------------


class _NotesTracing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tracing.is_symbolic())
        assert tracing.first_proxy(([1, {"x": x}],)) is not None
        return x


def test_tracers_of_fx_are_seen(without: Callable[..., None]) -> None:
    """While a model is traced, and not before; where torch does not say, each call looks for itself."""
    model = _NotesTracing()
    assert not tracing.is_symbolic()
    torch.fx.symbolic_trace(model)
    assert model.seen == [True]
    assert tracing.first_proxy((torch.ones(1), 2)) is None
    without("torch.fx._symbolic_trace.is_fx_symbolic_tracing")
    assert tracing.is_symbolic()


def test_fake_tensors_and_modes_are_seen(without: Callable[..., None]) -> None:
    """A call on fake tensors is traced; where torch has none of this, tracing says so."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    assert not tracing.is_traced([torch.ones(1)])
    with FakeTensorMode() as mode:
        assert tracing.is_traced([])
        fake = mode.from_tensor(torch.ones(1))
    assert tracing.is_traced([fake])
    assert tracing.functional_modes() == []
    without("torch.utils._python_dispatch._get_current_dispatch_mode_stack")
    with pytest.raises(rm.RemoteModError, match="cannot be compiled or exported"):
        tracing.is_traced([])


def test_operators_run_below_autograd() -> None:
    """Nothing is recorded there."""
    x = torch.ones(1, requires_grad=True)
    with tracing.below_autograd():
        assert (x * 2).grad_fn is None


# --- TorchScript -------------------------------------------------------------------------------


class _Doubles(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def test_scripted_modules_tell_their_methods() -> None:
    """Names, schemas, the type's name and the class that it was made of."""
    scripted = torch.jit.script(_Doubles())
    assert script.is_script_module(scripted)
    assert not script.is_script_module(_Doubles())
    assert isinstance(scripted, script.recursive_class())
    assert script.has_method(scripted, "forward")
    assert script.method_names(scripted) == ["forward"]
    assert [a.name for a in script.method_schema(scripted, "forward").arguments] == ["self", "x"]
    assert script.qualified_name(scripted).endswith("_Doubles")
    assert script.python_class_of(scripted) is _Doubles
    assert not script.is_compiled_module(scripted)
    assert script.is_compiled_module(scripted._c)
    again = script.python_form(scripted._c)
    assert torch.equal(again(torch.ones(1)), torch.full((1,), 2.0))


@torch.jit.interface
class _Doubler(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pass


def test_interfaces_tell_their_methods(without: Callable[..., None]) -> None:
    """By name; nobody guesses where torch does not say."""
    assert script.interface_methods(_Doubler) == {"forward"}
    without("torch.jit._state._python_cu")
    assert script.interface_methods(_Doubler) is None


def test_without_torchscript_nothing_scripts_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Saving and loading scripted models name what is missing and the way out."""
    monkeypatch.delattr(torch.jit, "script")
    with pytest.raises(rm.BackendUnavailable, match=r"no TorchScript .* leave out interface="):
        rm.export(_Doubles(), tmp_path / "model.pt")
    with pytest.raises(rm.BackendUnavailable, match="no TorchScript"):
        script.load_script(tmp_path / "model.pt")


def test_operators_can_be_taken_back() -> None:
    """A namespace can be defined anew."""
    for _ in range(2):
        library = torch.library.Library("remotemod_canary", "DEF")
        library.define("f(Tensor x) -> Tensor")
        script.destroy_library(library)


# --- torch.distributed.rpc ---------------------------------------------------------------------


def test_without_an_agent_nothing_runs(without: Callable[..., None]) -> None:
    """Both ways to ask say so, and no context of autograd is open."""
    assert not rpc.agent_is_running()
    assert not rpc.in_autograd_context()
    # In a thread of its own: torch leaves its tables behind in one where pickling failed.
    with ThreadPoolExecutor(1) as fresh:
        assert not fresh.submit(rpc.is_pickling).result()
    without("torch._C._distributed_rpc._is_current_rpc_agent_set")
    assert not rpc.agent_is_running()


# --- nothing depends on one name ---------------------------------------------------------------


def test_an_eager_call_needs_none_of_them() -> None:
    """With any one name removed from torch, no TorchScript or no RPC, an import and eager calls still work."""
    names = [*ALL, "torch.jit", "torch.distributed.rpc"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.without_names", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=500,
    )
    results = dict(json.loads(line) for line in done.stdout.splitlines())
    assert results.keys() == set(names)
    broken = {name: error for name, error in results.items() if error is not None}
    assert not broken


_ALL_AT_ONCE = """
import torch
from torch import nn
import remotemod as rm

with rm.launch() as cluster:
    remote = rm.RemoteModule("worker0/cpu", nn.Linear, args=(2, 2))
    assert remote(torch.ones(1, 2)).shape == (1, 2)
    gone = "_will_engine_execute_node"
    assert not rm.rpc_sync("worker0", eval, (f"hasattr(__import__('torch')._C, {gone!r})",))
    try:
        remote(torch.ones(1, 2)).sum().backward()
    except rm.GraphError as error:
        assert gone in str(error)
        print("refused")
"""


def test_processes_need_none_of_them_either(tmp_path: Path) -> None:
    """Caller and worker without all names at once that torch does without: calls work, backward() is refused by name."""
    names = [
        "torch._C._autograd._profiler_enabled",
        "torch._C._autograd._get_current_graph_task_keep_graph",
        "torch._C._will_engine_execute_node",
        "torch._C._has_storage",
        "torch.fx._symbolic_trace.is_fx_symbolic_tracing",
        "torch._foreach_norm",
    ]
    lines = [f"del {name}" for name in names]
    (tmp_path / "sitecustomize.py").write_text("\n".join(["import torch, torch.fx", *lines]))
    done = subprocess.run(
        [sys.executable, "-c", _ALL_AT_ONCE],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "refused\n", done.stderr


# --- nobody else touches them ------------------------------------------------------------------

_PRIVATE_PATH = re.compile(r"\btorch(\.\w+)*\._[a-zA-Z]")
OURS = [
    path
    for folder in ("remotemod", "cli")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "torch_compat" not in path.parts
]


def _defined_in_project() -> set[str]:
    """The private names that the project itself gives to something."""
    names = set()
    for path in OURS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "load"):
                    names.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)  # __slots__, vars(…).update
            elif isinstance(node, ast.keyword) and node.arg:
                names.add(node.arg)
    return names


_DEFINED = _defined_in_project()
# Python's own: named tuples, enums, typing, inspect, os.
_PYTHONS = {"_fields", "_replace", "_name_", "_value_", "_GenericAlias", "_ParameterKind", "_exit"}
_PYTHONS |= {"_asdict", "_getframe", "_MEIPASS"}


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_private_names_of_torch_stay_in_torch_compat(path: Path) -> None:
    """No other file imports one, spells one or reads one off an object of torch's."""
    text = path.read_text()
    assert not _PRIVATE_PATH.search(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            spelt = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            assert not [name for name in spelt if name.startswith("_")], ast.unparse(node)
        elif isinstance(node, ast.Attribute):
            private = node.attr.startswith("_") and not node.attr.startswith("__")
            known = node.attr in _DEFINED or node.attr in _PYTHONS
            assert not private or known, f"line {node.lineno}: {ast.unparse(node)}"


def test_paths_of_torch_lead_somewhere() -> None:
    """What the static reader knows by path is where it says, on this torch."""
    assert f"{torch.Tensor.__module__}.Tensor" in paths.TENSORS
    assert f"{torch.futures.Future.__module__}.Future" in paths.FUTURES
    assert f"{torch.jit.interface.__module__}.interface" in paths.INTERFACE_DECORATORS


_ENDS_AT_ONCE = """
import time, torch
from remotemod.torch_compat.forks import finish_before_exit

def slow(x):
    time.sleep(0.5)
    print("done", flush=True)
    return x + 1

library = torch.library.Library("remotemod_slow", "DEF")
library.define("slow(Tensor x) -> Tensor", "CONSERVATIVE")
library.impl("slow", slow, "CompositeImplicitAutograd")

def run(x: torch.Tensor) -> torch.Tensor:
    return torch.ops.remotemod_slow.slow(x)

def start(x: torch.Tensor) -> torch.jit.Future[torch.Tensor]:
    return torch.jit.fork(run, x)

finish_before_exit()
torch.jit.script(start)(torch.ones(1))
"""


def test_a_program_may_end_while_torchscript_runs(tmp_path: Path) -> None:
    """What a thread of TorchScript's is at is done before Python goes; otherwise Pythons before 3.14 mostly crash."""
    program = tmp_path / "ends.py"
    program.write_text(_ENDS_AT_ONCE)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_advice_on_torchscript_is_suppressed_for_each_thread() -> None:
    """A thread that has finished takes the suppression from no other one, and none is left."""
    before = list(warnings.filters)
    first, second = script.without_advice(), script.without_advice()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn("`torch.jit.script` is deprecated", DeprecationWarning, stacklevel=1)
    second.__exit__(None, None, None)
    assert caught == []
    assert warnings.filters == before
