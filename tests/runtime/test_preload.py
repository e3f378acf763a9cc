"""What workers are forked from must leave the GPU alone: CUDA does not work in a process forked after a question to it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import torch

def refuse(*_):
    raise AssertionError("CUDA was asked for its devices")

torch.cuda.is_available = torch.cuda.device_count = torch.cuda.init = refuse
torch.accelerator.is_available = torch.accelerator.device_count = refuse

import remotemod.backends.processes.preload
import remotemod.backends.torch_rpc.launching
assert not torch.cuda.is_initialized()
"""


def test_what_is_preloaded_asks_nothing_of_a_gpu() -> None:
    """Even a count of the devices would spoil them for all workers (tests/gpu has the proof on a GPU)."""
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
