"""Models with remote parts under torch.export: one operator a call, any batch, saved and run elsewhere."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.errors import ProtocolError
from remotemod.rpc.cluster import make_current
from tests.compile import parts
from tests.compile.parts import CALLS, USES, Colour, Part, Use
from tests.examples.strangers import ROOT
from tests.preloaded import programs

# torch.export.load's own, before torch 2.11.
pytestmark = pytest.mark.filterwarnings("ignore:The given buffer is not writable")

BATCH = torch.export.Dim("batch", min=2)


def exported(model: nn.Module, *, strict: bool = False) -> torch.export.ExportedProgram:
    """The program of a model, for any batch."""
    x = torch.randn(3, 3)
    return torch.export.export(model, (x,), dynamic_shapes=({0: BATCH},), strict=strict)


def calls_of(program: torch.export.ExportedProgram) -> list[str]:
    """The operators of ours in a program's graph."""
    return [str(n.target) for n in program.graph.nodes if str(n.target).startswith("remotemod")]


def again(program: torch.export.ExportedProgram) -> Any:
    """A program, saved and loaded."""
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file).module()


FEW = [parts.Plain, parts.Nothing, parts.Async, parts.Data]


@pytest.mark.parametrize("use", FEW, ids=lambda use: use.__name__)
def test_an_exported_model_is_the_model(cluster: rm.Cluster, use: type[Use]) -> None:
    """Saved and loaded, it gives the same results and gradients for every batch size."""
    check(use, strict=False)


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_all_arguments_and_results_export(shm: rm.Cluster, use: type[Use], strict: bool) -> None:
    """Whatever a call takes and returns, if a graph can hold it; with dynamo and without."""
    make_current(shm)
    check(use, strict)


def check(use: type[Use], strict: bool) -> None:
    """Compares an exported model with itself."""
    model = use(rm.RemoteModule("ps0", Part))
    loaded = again(exported(model, strict=strict))
    for batch in (3, 5, 2):
        x = torch.randn(batch, 3, requires_grad=True)
        expected, found = model(x), loaded(x)
        torch.testing.assert_close(found, expected)
        (wanted,) = torch.autograd.grad(expected.sum(), x)
        torch.testing.assert_close(torch.autograd.grad(found.sum(), x)[0], wanted)


@pytest.mark.parametrize("use", CALLS, ids=lambda use: use.__name__)
def test_each_call_is_one_operator(cluster: rm.Cluster, use: type[Use]) -> None:
    """A call that is waited for is one node; an asynchronous one is two, submitted before anything is waited for."""
    found = calls_of(exported(use(rm.RemoteModule("ps0", Part))))
    if use is parts.Async:
        halves = ["remotemod.submit.default"] * 2 + ["remotemod.collect.default"] * 2
        assert found == halves
    else:
        assert found == ["remotemod.call.default"] * CALLS[use]


def test_remote_parameters_learn_from_a_program(cluster: rm.Cluster) -> None:
    """backward() through a loaded program reaches the parameters on the owner."""
    model = parts.Plain(rm.RemoteModule("ps0", Part))
    loaded = again(exported(model))
    loaded(torch.ones(2, 3)).sum().backward()
    (parameter,) = model.part.remote_parameters()
    assert rm.rpc_sync("ps0", has_gradient, (parameter,))


def has_gradient(parameter: Any) -> bool:
    return parameter.local_value().grad is not None


def test_a_program_outlives_the_handles(cluster: rm.Cluster) -> None:
    """The part stays for as long as the cluster does, though nobody but the program knows it."""
    model = parts.Plain(rm.RemoteModule("ps0", Part))
    x = torch.randn(2, 3)
    expected = model(x)
    loaded = again(exported(model))
    del model
    torch.testing.assert_close(loaded(x), expected)


def test_what_means_nothing_elsewhere_is_refused(cluster: rm.Cluster) -> None:
    """A class that no other process can find is named, with what to do."""

    class Mine(Use):
        def use(self, x: Tensor) -> Tensor:
            return self.part.coloured(x, Local.VALUE)  # type: ignore[arg-type]

    import enum

    class Local(enum.Enum):
        VALUE = 2

    with pytest.raises(ProtocolError, match=r"a call of coloured passes .*VALUE.* top of a module"):
        exported(Mine(rm.RemoteModule("ps0", Part)))
    assert Colour.GREEN.value == Local.VALUE.value


def test_no_part_of_that_name_is_said_at_the_call(cluster: rm.Cluster) -> None:
    """A program whose part is gone says which part, where it looked, and what to do."""
    with pytest.raises(
        rm.PlacementError, match=r"no remote module is called 'nobody'.*rm\.connect"
    ):
        torch.ops.remotemod.call(
            "nobody", "forward", '["tuple",[["tuple",[]],["dict",[],[]]]]', [], [], 0
        )


SERVE = """
import sys
import remotemod
import torch
import remotemod as rm
program = torch.export.load(sys.argv[1]).module()
cluster = rm.connect(sys.argv[2])
x = torch.arange(12.0).reshape(4, 3).requires_grad_()
result = program(x)
result.sum().backward()
torch.save((result.detach(), x.grad), sys.argv[3])
assert "tests" not in sys.modules
"""


@pytest.mark.slow
def test_a_process_without_the_model_runs_it(fork_server: None, tmp_path: Path) -> None:
    """Torch, remotemod and the cluster's address are enough: not one line of the model's code."""
    with rm.launch(workers=["ps0"]) as cluster:
        model = parts.Plain(rm.RemoteModule("ps0", Part, name="scale"))
        torch.export.save(exported(model), tmp_path / "program.pt2")
        x = torch.arange(12.0).reshape(4, 3).requires_grad_()
        expected = model(x)
        expected.sum().backward()
        assert cluster.address is not None
        names = [str(tmp_path / "program.pt2"), cluster.address, str(tmp_path / "result.pt")]
        done = programs.run(
            ["-c", SERVE, *names],
            load=["torch._dynamo"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert not done.returncode, done.stderr
        result, gradient = torch.load(tmp_path / "result.pt")
        torch.testing.assert_close(result, expected.detach())
        torch.testing.assert_close(gradient, x.grad)
