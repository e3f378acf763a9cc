"""Graphs of torch's with a part on the device."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from tests.gpu import zoo
from tests.gpu.devices import ON_CUDA, assert_came_back, needs_values

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
NO_INDUCTOR = "it finds no C++ compiler here" if ON_CUDA else "tests/compile has it on the CPU"
BACKENDS = [
    "eager",
    "aot_eager",
    pytest.param(
        "inductor",
        marks=pytest.mark.skipif(
            not ON_CUDA or COMPILER is None, reason=f"inductor is not run: {NO_INDUCTOR}"
        ),
    ),
]


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Model(nn.Module):
    """A local model with a part on the device; its own layers are where it is put."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.before = nn.Linear(4, 4)
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        y = self.part(torch.relu(self.before(x)))
        return y.to(x.device) * 2


def step(model: nn.Module, run: Any, x: Tensor) -> list[Tensor]:
    """A result and the gradients that it leaves here."""
    model.before.zero_grad()
    x = x.detach().clone().requires_grad_()
    result = run(x)
    result.square().sum().backward()
    return [result.detach(), x.grad, *(p.grad.clone() for p in model.before.parameters())]


@pytest.mark.parametrize("home", ["cpu", "device"])
@pytest.mark.parametrize("backend", BACKENDS)
@needs_values
def test_a_compiled_model_is_the_model(
    workers: rm.Cluster, device: str, backend: str, home: str
) -> None:
    """Without a graph break, forward and backward, from the CPU and from this process's own device."""
    place = "cpu" if home == "cpu" else device
    model = Model(rm.RemoteModule(f"one/{device}", zoo.Tower))
    model.before.to(place)
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    for size in (8, 8):
        x = torch.linspace(-1.0, 1.0, size * 4, device=place).view(size, 4)
        torch.testing.assert_close(
            step(model, compiled, x), step(model, model, x), rtol=1e-4, atol=1e-5
        )


@needs_values
def test_a_compiled_module_on_the_owner(workers: rm.Cluster, device: str) -> None:
    """A factory may return a module that is compiled where it runs."""
    remote = rm.RemoteModule(f"two/{device}", _compiled, interface=zoo.Tower)
    local = zoo.Tower().to(device)
    x = torch.linspace(-1.0, 1.0, 32).view(8, 4)
    with torch.no_grad():
        assert_came_back(remote(x), local(x.to(device)))


def _compiled() -> nn.Module:
    module = zoo.Tower()
    module.compile(backend="aot_eager")
    return module


@needs_values
def test_an_exported_program_calls_the_device(workers: rm.Cluster, device: str) -> None:
    """``torch.export`` has one operator for the call, and the program gives the model's result."""
    model = Model(rm.RemoteModule(f"one/{device}", zoo.Results))
    x = torch.ones(2, 4)
    with torch.no_grad():
        program = torch.export.export(model, (x,))
        calls = [n for n in program.graph.nodes if "remotemod" in str(n.target)]
        assert len(calls) == 1
        torch.testing.assert_close(program.module()(x), model(x))
