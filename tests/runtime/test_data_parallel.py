"""DistributedDataParallel around a model with a remote part: it averages the local parameters' gradients alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.preloaded import programs

PROGRAM = """
import sys, torch
import torch.distributed as dist
from torch import nn
import remotemod as rm
from remotemod.testing.trained import gradients

rank, meeting = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
with rm.launch(workers=["ps"], backend="shm"):
    table = rm.RemoteModule("ps", nn.Embedding, args=(4, 2))
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = table
            self.local = nn.Linear(2, 1)
        def forward(self, x):
            return self.local(self.table(x))
    model = Model()
    parallel = nn.parallel.DistributedDataParallel(model)
    assert len(list(parallel.parameters())) == 2
    parallel(torch.tensor([rank, rank + 1])).sum().backward()
    found = [torch.empty(1, 2) for _ in range(2)]
    dist.all_gather(found, model.local.weight.grad)
    assert torch.equal(found[0], found[1])
    (grad,) = rm.rpc_sync("ps", gradients, (table.module_rref,))
    assert grad[rank].abs().sum() > 0 and not grad[3].any()
    assert "module.table.weight" in parallel.state_dict()
    parallel.zero_grad()
    assert model.local.weight.grad is None
dist.destroy_process_group()
print("done")
"""


@pytest.mark.slow
def test_local_parts_are_trained_in_parallel(tmp_path: Path) -> None:
    """Two processes, each with a worker of its own, average the gradients of their local part."""
    both = [
        programs.Program(
            ["-c", PROGRAM, str(rank), str(tmp_path / "meeting")],
            load=["torch._dynamo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        answers = [process.communicate(timeout=100) for process in both]
    finally:
        for process in both:
            process.kill()
            process.wait()
    assert [answer[0].strip() for answer in answers] == ["done", "done"], answers
