"""Each way of capturing a model with a remote part, as a function that checks it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import remotemod as rm
from tests.examples.strangers import ROOT
from tests.features.model import NAME, Model, Part, given, place
from tests.preloaded.programs import Program

__all__ = ["FEATURES", "Case", "write_files"]

Answer = tuple[Tensor, Tensor]
"""A result, and the gradient of the input for the sum of the result."""


class Case:
    """A model with a remote part on some backend, and what it should answer.

    Args:
        backend: the backend's name.
        cluster: workers ``ps0`` and ``ps1`` of it.
        folder: for files.
    """

    def __init__(self, backend: str, cluster: rm.Cluster, folder: Path) -> None:
        self.backend = backend
        self.cluster = cluster
        self.folder = folder
        self.part = place("ps0")
        self.model = Model(self.part)
        self.expected = answer(Model(Part()))
        self._fresh: dict[str, Any] | None = None

    def check(self, run: Callable[[Tensor], Tensor]) -> None:
        """Checks a captured model: results, gradients of the input, gradients of the remote parameters."""
        self.model.zero_grad()
        for found, wanted in zip(answer(run), self.expected, strict=True):
            torch.testing.assert_close(found, wanted)
        for parameter in self.part.remote_parameters():
            assert rm.rpc_sync("ps0", has_gradient, (parameter,))

    def elsewhere(self, how: str) -> None:
        """Checks what another process found that only has files."""
        if self._fresh is None:
            self._fresh = in_fresh_process(self)
        found = self._fresh[how]
        assert not isinstance(found, str), found
        for one, wanted in zip(found, self.expected, strict=True):
            torch.testing.assert_close(torch.tensor(one), wanted)


def answer(run: Callable[[Tensor], Tensor]) -> Answer:
    """What a model answers."""
    x = given()
    result = run(x)
    result.sum().backward()
    assert x.grad is not None
    return result.detach(), x.grad


def has_gradient(parameter: Any) -> bool:
    return parameter.local_value().grad is not None


def exported(model: nn.Module) -> torch.export.ExportedProgram:
    batch = {0: torch.export.Dim("batch", min=2)}
    return torch.export.export(model, (torch.ones(3, 3),), dynamic_shapes=(batch,))


def write_files(part: nn.Module, folder: Path) -> None:
    """The model in all its files."""
    rm.export(Model(part), folder / "model.pt")
    torch.export.save(exported(Model(part)), folder / "program.pt2")
    (folder / "written").touch()


def in_fresh_process(case: Case) -> dict[str, Any]:
    """What a process answers that has files and a cluster, and none of the user's code."""
    owner = None
    if case.backend == "torch_rpc":
        owner = program("owner", case)
    else:
        write_files(case.part, case.folder)
    fresh = program("fresh", case)
    try:
        out, err = fresh.communicate(timeout=120)
        assert fresh.returncode == 0, err[-3000:]
        assert owner is None or owner.wait(60) == 0
    finally:
        for process in (fresh, owner):
            if process is not None:
                process.kill()
                process.communicate()
    lines = [line.removeprefix("found ") for line in out.splitlines() if line.startswith("found ")]
    return dict(map(json.loads, lines))


def program(role: str, case: Case) -> Program:
    more = [case.cluster.address] if case.cluster.address else []
    return Program(
        [
            "-m",
            "tests.features.programs",
            role,
            str(case.folder),
            case.backend,
            *more,
        ],
        load=["torch._dynamo", "torch.distributed.rpc"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# --- the ways ---------------------------------------------------------------------------------


def script(case: Case) -> None:
    case.check(torch.jit.script(case.model))


def save(case: Case) -> None:
    parts = rm.export(case.model, case.folder / "saved.pt")
    assert [part.name for part in parts] == [NAME]
    case.check(rm.load(case.folder / "saved.pt"))


def send(case: Case) -> None:
    scripted = torch.jit.script(case.model)
    case.check(lambda x: rm.rpc_sync("ps1", run, (scripted, x)))


def send_eager(case: Case) -> None:
    case.check(lambda x: rm.rpc_sync("ps1", run, (case.model, x)))


def run(model: Any, x: Tensor) -> Tensor:
    found: Tensor = model(x)
    return found


def compile_eager(case: Case) -> None:
    case.check(torch.compile(case.model, fullgraph=True, backend="eager"))


def compile_inductor(case: Case) -> None:
    case.check(torch.compile(case.model, fullgraph=True))


def export(case: Case) -> None:
    program = exported(case.model)
    assert [str(n.target) for n in program.graph.nodes].count("remotemod.call.default") == 1
    case.check(program.module())


def compile_exported(case: Case) -> None:
    case.check(torch.compile(exported(case.model).module(), fullgraph=True, backend="aot_eager"))


def fx(case: Case) -> None:
    case.check(torch.fx.symbolic_trace(case.model))


FEATURES: dict[str, Callable[[Case], None]] = {
    "`torch.jit.script`": script,
    "`rm.export`, `rm.load`": save,
    "`rm.load` in a fresh process": lambda case: case.elsewhere("rm.load"),
    "`torch.jit.load` in a fresh process": lambda case: case.elsewhere("torch.jit.load"),
    "send a model to a worker": send_eager,
    "send a scripted model to a worker": send,
    '`torch.compile(fullgraph=True, backend="eager")`': compile_eager,
    "`torch.compile(fullgraph=True)` (inductor)": compile_inductor,
    "`torch.export.export`": export,
    "`torch.export.load` in a fresh process": lambda case: case.elsewhere("torch.export.load"),
    "`torch.compile` of an exported program": compile_exported,
    "`torch.fx.symbolic_trace`": fx,
}
"""What the table of ``docs/compiling.md`` says, by the words that it says it in."""
