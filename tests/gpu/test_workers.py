"""Worker processes that use the device: beside each other, beside their caller, and at their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from tests.gpu import zoo
from tests.gpu.devices import HERE, ON_CUDA, assert_came_back, needs_values, only_on_cuda
from tests.gpu.where import DEVICE

X = torch.arange(8.0).view(2, 4)
MANY = torch.cuda.device_count()


class Through(nn.Module):
    """Calls another remote module on the way."""

    def __init__(self, other: nn.Module) -> None:
        super().__init__()
        self.other = other
        self.weight = nn.Parameter(torch.full((4,), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.other(x * self.weight)
        return found.to(x.device) + x * self.weight


def test_two_workers_share_a_device(workers: rm.Cluster, device: str) -> None:
    """Each has a context of its own, both are used at once, and neither sees the other's weights."""
    handles = [rm.RemoteModule(f"{name}/{device}", zoo.Results) for name in ("one", "two")]
    pids = {rm.rpc_sync(name, os.getpid) for name in ("one", "two")}
    assert len(pids) == 2
    with torch.no_grad():
        later = [h.forward_async(X + i) for i in range(20) for h in handles]
        local = zoo.Results().to(device)
        for number, future in enumerate(later):
            assert_came_back(future.wait(), local((X + number // 2).to(device)))


@needs_values
def test_workers_call_each_other(workers: rm.Cluster, device: str) -> None:
    """A module on the device calls one on the device of another worker, and gradients go all the way."""
    inner = rm.RemoteModule(f"two/{device}", zoo.Results)
    outer = rm.RemoteModule(f"one/{device}", Through, args=(inner,))
    local = Through(zoo.Results().to(device)).to(device)
    found = []
    for module in (outer, local):
        x = X.clone().requires_grad_()
        module(x if module is outer else x.to(device)).cpu().square().sum().backward()
        found.append(x.grad)
    torch.testing.assert_close(*found)
    gradients = rm.rpc_sync("two", zoo.gradients, (inner.module_rref,))
    torch.testing.assert_close(gradients[0], local.other.weight.grad.cpu())


@needs_values
def test_many_threads_of_a_caller(workers: rm.Cluster, device: str) -> None:
    """Threads call and go backwards at the same time, and each gets its own answer."""
    remote = rm.RemoteModule(f"one/{device}", zoo.Results)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            for turn in range(10):
                x = (X + number * turn).requires_grad_()
                result = remote(x)
                result.sum().backward()
                weight = torch.linspace(-1.0, 2.0, 4)
                torch.testing.assert_close(result.detach(), x.detach() * weight)
                torch.testing.assert_close(x.grad, weight.expand(2, 4))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


@needs_values
def test_functions_and_references_on_the_device(workers: rm.Cluster, device: str) -> None:
    """A function's result stays on the worker's device until somebody asks for it here."""
    ref = rm.remote("one", torch.ones, (2, 3), {"device": device})
    assert str(rm.rpc_sync("one", _device_of, (ref,))) == device
    assert_came_back(ref.to_here(), torch.ones(2, 3))
    assert_came_back(rm.rpc_sync("one", torch.zeros, (2,), {"device": device}), torch.zeros(2))
    shape, kind = rm.rpc_sync("one", _shape_and_device, (ref,))
    assert (shape, kind) == ((2, 3), torch.device(device))


def _device_of(ref: rm.RemoteRef[Tensor]) -> torch.device:
    return ref.local_value().device


def _shape_and_device(ref: rm.RemoteRef[Tensor]) -> tuple[tuple[int, ...], torch.device]:
    return tuple(ref.local_value().shape), ref.local_value().device


def test_a_handle_says_where_its_module_is(workers: rm.Cluster, device: str) -> None:
    """``device`` and the module's own word agree, with and without the device's number."""
    remote = rm.RemoteModule(f"one/{device}", zoo.Here)
    given, own, _ = remote(X)
    assert (remote.on, remote.device, own) == ("one", device, device)
    if device != "cpu":  # there tensors are used as they come
        assert given == device
    again = rm.RemoteModule.init_from_module_rref(f"one/{device}", remote.module_rref)
    assert again(X)[1] == device
    other = "cpu" if device != "cpu" else "meta"
    with pytest.raises(rm.PlacementError, match="is on"):
        rm.RemoteModule.init_from_module_rref(f"one/{other}", remote.module_rref)


@only_on_cuda("only CUDA devices have numbers to leave out")
def test_a_device_without_a_number_is_the_current_one(workers: rm.Cluster) -> None:
    """``w/cuda`` is the worker's current device."""
    remote = rm.RemoteModule("one/cuda", zoo.Here)
    given, own, _ = remote(X)
    assert given == own == "cuda:0"


@only_on_cuda("a CPU is always there")
def test_a_device_that_is_not_there(workers: rm.Cluster) -> None:
    """Asking for a GPU too many is torch's own error from the worker, at once, and harms nothing."""
    with pytest.raises(RuntimeError, match=r"device|CUDA"):
        rm.RemoteModule(f"two/cuda:{MANY}", zoo.Results)
    assert rm.rpc_sync("two", torch.add, (torch.ones(1), 1)).item() == 2


@pytest.mark.skipif(
    MANY < 2,
    reason=f"torch finds {MANY} CUDA devices here, and this takes 2",
)
def test_a_module_on_the_second_device(workers: rm.Cluster) -> None:
    """``w/cuda:1`` computes there, forwards and backwards, beside a module on the first."""
    remote = rm.RemoteModule("one/cuda:1", zoo.Tower)
    first = rm.RemoteModule("one/cuda:0", zoo.Results)
    local = zoo.Tower().to("cuda:1")
    x = torch.linspace(-1.0, 1.0, 32).view(8, 4).requires_grad_()
    result = remote(x)
    assert_came_back(result.detach(), local(x.detach().to("cuda:1")).detach())
    result.sum().backward()
    optimizer = rm.RemoteOptimizer(torch.optim.Adam, [remote, first], lr=0.1)
    first(x.detach()).sum().backward()
    optimizer.step()
    where = rm.rpc_sync("one", zoo.devices_of_parameters, (remote.module_rref,))
    assert where == [("cuda:1", "cuda:1")] * 6
    assert rm.RemoteModule("one/cuda:1", zoo.Here)(X)[:2] == ("cuda:1", "cuda:1")


# --- processes --------------------------------------------------------------------------------


def test_a_new_worker_has_not_touched_the_gpu(fork_server: None) -> None:
    """CUDA does not survive a fork: the process that workers are forked from must never initialise it."""
    if ON_CUDA:
        torch.ones(1, device=DEVICE).sum().item()  # this process has; its workers do not come of it
    with rm.launch(workers=["fresh"]) as cluster:
        assert rm.rpc_sync("fresh", zoo.is_initialized) is False
        remote = rm.RemoteModule(f"fresh/{DEVICE}", zoo.Results, cluster=cluster)
        with torch.no_grad():
            assert remote(X).device.type == HERE
        assert rm.rpc_sync("fresh", zoo.is_initialized) is ON_CUDA


PROGRAM = """
import torch
import remotemod as rm
from tests.gpu import zoo

with rm.launch(workers=["w"]):
    remote = rm.RemoteModule("w/{device}", zoo.Results)
    x = torch.ones(2, 4)
    assert remote(x).device.type == "{here}"
    assert not torch.cuda.is_initialized(), "the caller itself needs no GPU"
print("done")
"""


def test_a_caller_needs_no_gpu_of_its_own(device: str) -> None:
    """A program that only calls initialises nothing on the GPU, ends by itself and leaves nothing on stderr."""
    program = PROGRAM.format(device=device, here=HERE)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert "Error" not in done.stderr


def test_a_killed_worker_is_lost_and_another_takes_its_place(fork_server: None) -> None:
    """A worker that dies with memory on the device is ``WorkerLost`` for its caller; the next one can use the device."""
    for _ in range(2):
        with rm.launch(workers=["doomed"]):
            remote = rm.RemoteModule(f"doomed/{DEVICE}", zoo.Results)
            with torch.no_grad():
                remote(X)
            os.kill(rm.rpc_sync("doomed", os.getpid), signal.SIGKILL)
            with pytest.raises(rm.WorkerLost) as caught:
                remote(X)
            assert caught.value.signal == signal.SIGKILL


@only_on_cuda("its memory runs out for the whole machine")
def test_running_out_of_memory_is_the_modules_error(workers: rm.Cluster, device: str) -> None:
    """The owner's ``OutOfMemoryError`` arrives as itself, and the worker goes on."""
    remote = rm.RemoteModule(f"one/{device}", zoo.Results)
    with pytest.raises(torch.OutOfMemoryError):
        rm.rpc_sync("one", torch.empty, (1 << 50,), {"device": device, "dtype": torch.uint8})
    with torch.no_grad():
        assert_came_back(remote(X), zoo.Results().to(device)(X.to(device)))
