"""Models with remote parts under torch.compile: the whole graph, both ways, and as many calls as without."""

from __future__ import annotations

import copy
import gc
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.handles.tracing import calls
from remotemod.rpc.cluster import make_current
from tests.compile import parts
from tests.compile.parts import CALLS, USES, Part, Use
from tests.gate import held

GRAPHS = ["eager", pytest.param("aot_eager", marks=pytest.mark.slow)]
COMPILERS = [*GRAPHS, pytest.param("inductor", marks=pytest.mark.slow)]
FEW = [parts.Plain, parts.Nothing, parts.Async, parts.Data]


def gradients(remote: Any) -> list[Tensor]:
    """The gradients of a remote module's parameters."""
    return [rm.rpc_sync(p.owner_name(), gradient, (p,)) for p in remote.remote_parameters()]


def gradient(parameter: Any) -> Tensor:
    value = parameter.local_value()
    return torch.zeros_like(value) if value.grad is None else value.grad.clone()


def trained(model: Use, run: Any, x: Tensor) -> list[Tensor]:
    """A result, and all gradients that its sum leaves."""
    model.zero_grad()
    x = x.detach().clone().requires_grad_()
    result = run(x)
    result.sum().backward()
    local = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    return [result.detach(), x.grad, *local, *gradients(model.part)]


@pytest.mark.parametrize("compiler", GRAPHS)
@pytest.mark.parametrize("use", FEW, ids=lambda use: use.__name__)
def test_a_compiled_model_is_the_model(cluster: rm.Cluster, use: type[Use], compiler: str) -> None:
    """Results, gradients here and there, other batch sizes and no_grad are as without the compiler."""
    check(use, compiler)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("use", "compiler"),
    [
        *((use, compiler) for use in USES if use not in FEW for compiler in ("eager", "aot_eager")),
        *((use, "inductor") for use in FEW),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_all_arguments_and_results_compile(shm: rm.Cluster, use: type[Use], compiler: str) -> None:
    """Whatever a call takes and returns, if a graph can hold it."""
    make_current(shm)
    check(use, compiler)


def check(use: type[Use], compiler: str) -> None:
    """Compares a compiled model with itself."""
    model = use(rm.RemoteModule("ps0", Part))
    compiled = torch.compile(model, fullgraph=True, backend=compiler)
    for batch in (3, 5, 4):
        x = torch.randn(batch, 3)
        expected = trained(model, model, x)
        for found, wanted in zip(trained(model, compiled, x), expected, strict=True):
            torch.testing.assert_close(found, wanted)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), expected[0])


@pytest.mark.parametrize(
    ("use", "compiler"),
    [
        *((use, "eager") for use in CALLS),
        *(pytest.param(use, "inductor", marks=pytest.mark.slow) for use in CALLS),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_call_is_made_once(shm: rm.Cluster, use: type[Use], compiler: str) -> None:
    """Nobody merges two calls that look alike or drops one whose result is not used; tracing makes none."""
    make_current(shm)
    model = use(rm.RemoteModule("ps0", Part))
    compiled = torch.compile(model, fullgraph=True, backend=compiler)
    for recorded in (True, False):
        with torch.set_grad_enabled(recorded):
            before = model.part.called()
            compiled(torch.randn(3, 3))
            assert model.part.called() == before + CALLS[use]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_parameters_learn_where_no_input_has_a_gradient(cluster: rm.Cluster, compiler: str) -> None:
    """A remote table gets its gradient though all that goes in are indices."""
    table = rm.RemoteModule("ps0", nn.Embedding, (5, 2))
    compiled = torch.compile(table, fullgraph=True, backend=compiler)
    compiled(torch.tensor([1, 1, 4])).sum().backward()
    (found,) = gradients(table)
    assert found.tolist() == [[0, 0], [2, 2], [0, 0], [0, 0], [1, 1]]


@pytest.mark.parametrize("compiler", GRAPHS)
def test_grad_leaves_nothing_on_parameters(cluster: rm.Cluster, compiler: str) -> None:
    """autograd.grad() gives the inputs' gradients and no others, twice where the graph is retained."""
    model = parts.Plain(rm.RemoteModule("ps0", Part))
    compiled = torch.compile(model, fullgraph=True, backend=compiler)
    x = torch.randn(2, 3, requires_grad=True)
    result = compiled(x).sum()
    (once,) = torch.autograd.grad(result, x, retain_graph=True)
    (again,) = torch.autograd.grad(result, x)
    assert torch.equal(once, again)
    (parameter,) = model.part.remote_parameters()
    assert rm.rpc_sync("ps0", has_gradient, (parameter,)) is False


def has_gradient(parameter: Any) -> bool:
    return parameter.local_value().grad is not None


@pytest.mark.parametrize(
    "compiler", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_graphs_end_with_their_results(cluster: rm.Cluster, compiler: str) -> None:
    """What a forward pass keeps for a backward that never comes goes with its result."""
    model = parts.Async(rm.RemoteModule("ps0", Part))
    compiled = torch.compile(model, fullgraph=True, backend=compiler)
    for _ in range(5):
        result = compiled(torch.randn(2, 3))
    assert len(calls._KEPT.value) == 2
    del result
    gc.collect()
    assert not calls._KEPT.value
    assert not calls._BEGUN.value


@pytest.mark.parametrize("compiler", COMPILERS)
def test_parts_compute_at_once(cluster: rm.Cluster, compiler: str, tmp_path: Path) -> None:
    """The second worker has begun before the first is done: each waits for the other."""
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    model = Overlapping(
        rm.RemoteModule("ps0", Meeting, (one, other)), rm.RemoteModule("ps1", Meeting, (other, one))
    )
    compiled = torch.compile(model, fullgraph=True, backend=compiler)
    with torch.no_grad():
        assert compiled(torch.ones(2)).tolist() == [7, 7]


class Meeting(nn.Module):
    """Has begun when its own file is there, and ends when the other one's is."""

    def __init__(self, own: str, other: str) -> None:
        super().__init__()
        self.own = own
        self.other = other

    def forward(self, x: Tensor) -> Tensor:
        return x + 1

    def meet(self, x: Tensor) -> Tensor:
        if type(x) is not Tensor:
            return x
        Path(self.own).touch()
        held(self.other)
        return x * 2


class Overlapping(nn.Module):
    """Asks two parts, and computes while they do."""

    def __init__(self, one: nn.Module, other: nn.Module) -> None:
        super().__init__()
        self.one = one
        self.other = other

    def forward(self, x: Tensor) -> Tensor:
        one, other = self.one.meet_async(x), self.other.meet_async(x)
        here = torch.relu(x) * 3
        return one.wait() + other.wait() + here


def test_a_result_that_changes_is_no_constant(cluster: rm.Cluster) -> None:
    """A number in a result, which a graph can hold as it was traced only, is checked at each call."""

    class Counting(Use):
        def use(self, x: Tensor) -> Tensor:
            found, number = self.part.counted(x)
            return found * number

    compiled = torch.compile(
        Counting(rm.RemoteModule("ps0", Part)), fullgraph=True, backend="eager"
    )
    compiled(torch.ones(1, 3))
    with pytest.raises(
        rm.RemoteModError,
        match=r"Part\.counted on 'ps0' returned something else than when it was traced",
    ):
        compiled(torch.ones(1, 3))


def test_shapes_that_depend_on_data_need_a_rule(cluster: rm.Cluster) -> None:
    """The error says which method, and where to say its shapes; with the rule it compiles."""

    class Where(Use):
        def use(self, x: Tensor) -> Tensor:
            return self.part.where(x)

    without = torch.compile(Where(rm.RemoteModule("ps0", Part)), fullgraph=True, backend="eager")
    with pytest.raises(Exception, match=r"Part\.where on 'ps0' .*fake=\{'where': rule\}"):
        without(torch.ones(2, 3))
    part = rm.RemoteModule("ps0", Part, fake={"where": lambda x: x.new_empty(6, 2)})
    model = Where(part)
    nn.init.ones_(model.before.weight)
    nn.init.ones_(model.before.bias)
    found = torch.compile(model, fullgraph=True, backend="aot_eager")(torch.ones(2, 3))
    assert found.tolist() == torch.ones(2, 3).nonzero().tolist()


def test_a_wrong_rule_is_found_out(cluster: rm.Cluster) -> None:
    """Shapes that a rule has said and that do not come are an error that shows both."""
    part = rm.RemoteModule("ps0", Part, fake=lambda x: x.new_empty(x.shape[0], 7))
    compiled = torch.compile(parts.Plain(part), fullgraph=True, backend="aot_eager")
    with pytest.raises(
        rm.RemoteModError, match=r"\(2, 3\) is not torch\.float32 \(2, 7\): correct its rule"
    ):
        compiled(torch.ones(2, 3))


def test_objects_are_no_constants(cluster: rm.Cluster) -> None:
    """An argument that a graph would hold as it was is refused, with what may be passed."""

    class Thing:
        size = 2

    class Passing(Use):
        def use(self, x: Tensor) -> Tensor:
            return self.part.repeated(x, Thing())

    compiled = torch.compile(Passing(rm.RemoteModule("ps0", Part)), fullgraph=True, backend="eager")
    # Torch 2.10 has words of its own for it.
    with pytest.raises(
        Exception,
        match=r"class Thing cannot be an argument .* pass tensors, numbers|\(Thing\) is not a constant",
    ):
        compiled(torch.ones(1, 3))


def test_a_rule_for_no_method_is_refused(cluster: rm.Cluster) -> None:
    """A misspelt method is an error at once, with the right one."""
    with pytest.raises(ValueError, match="no such remote method; did you mean 'where'"):
        rm.RemoteModule("ps0", Part, fake={"were": lambda x: x})
    with pytest.raises(TypeError, match="fake must be a function"):
        rm.RemoteModule("ps0", Part, fake={"where": 3})  # type: ignore[dict-item]


@pytest.mark.parametrize("compiler", GRAPHS)
def test_remote_errors_keep_their_type(cluster: rm.Cluster, compiler: str) -> None:
    """What a module raises comes out of compiled code as it comes out of a plain call."""

    class Failing(Use):
        def use(self, x: Tensor) -> Tensor:
            return self.part.fails(x)

    compiled = torch.compile(
        Failing(rm.RemoteModule("ps0", Part)), fullgraph=True, backend=compiler
    )
    with pytest.raises(ValueError, match="not today"):
        compiled(torch.ones(1, 3))


def test_pending_calls_are_waited_for_together(cluster: rm.Cluster) -> None:
    """``rm.wait_all`` takes them in a graph as it takes futures outside of one."""

    class Twice(Use):
        def use(self, x: Tensor) -> Tensor:
            one, other = rm.wait_all([self.part.forward_async(x), self.part.forward_async(-x)])
            return one - other

    model = Twice(rm.RemoteModule("ps0", Part))
    x = torch.ones(1, 3)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert torch.equal(compiled(x), model(x))


def test_a_pending_call_says_what_it_cannot_do(cluster: rm.Cluster) -> None:
    """There is nothing but its result to take while it is traced."""

    class Asking(Use):
        def use(self, x: Tensor) -> Tensor:
            return x if self.part.forward_async(x).done() else x + 1

    compiled = torch.compile(Asking(rm.RemoteModule("ps0", Part)), fullgraph=True, backend="eager")
    with pytest.raises(Exception, match=r"has no 'done'"):
        compiled(torch.ones(1, 3))


@pytest.mark.slow
def test_other_handles_compile_too(cluster: rm.Cluster) -> None:
    """Copies, handles with options, and a scripted one's interface make no difference."""
    part = rm.RemoteModule("ps0", Part)
    x = torch.ones(2, 3)
    for handle in (
        part.with_options(timeout=20),
        part.with_options(recompute=True),
        copy.copy(part),
    ):
        model = parts.Plain(handle)
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        for found, wanted in zip(
            trained(model, compiled, x), trained(model, model, x), strict=True
        ):
            torch.testing.assert_close(found, wanted)
