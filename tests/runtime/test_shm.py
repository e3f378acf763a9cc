"""What the process backend promises beyond the contract: isolation, life and death."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.testing.zoo import Echo
from tests.gate import Gate, held
from tests.isolation import children, sockets
from tests.preloaded import programs


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_are_other_processes(shm: rm.Cluster) -> None:
    """Each worker has a process of its own."""
    pids = {rm.rpc_sync(worker, os.getpid) for worker in shm.workers}
    assert len(pids | {os.getpid()}) == 3


def test_a_worker_computes_with_the_callers_threads(fork_server: None) -> None:
    """The thread count is the caller's, because results depend on it: they are the same to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)  # which is nobody's default here
    try:
        with rm.launch(workers=["w"]):
            assert rm.rpc_sync("w", torch.get_num_threads) == before + 1
            x = torch.rand(1_000, 1_000)  # enough for all threads
            for function in (torch.sum, torch.logsumexp, torch.cumsum):
                args = (x,) if function is torch.sum else (x, 1)
                assert torch.equal(rm.rpc_sync("w", function, args), function(*args))
    finally:
        torch.set_num_threads(before)


def test_closing_leaves_no_process_and_no_socket(fork_server: None) -> None:
    """After ``close`` the workers are gone and nothing listens."""
    before = sockets()
    with rm.launch(workers=3) as cluster:
        pids = [rm.rpc_sync(worker, os.getpid) for worker in cluster.workers]
        assert len(sockets()) > len(before)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert sockets() == before


@pytest.mark.slow
def test_closing_kills_a_worker_that_is_busy(fork_server: None) -> None:
    """A long call does not keep the worker alive, and fails."""
    cluster = rm.launch(workers=1)
    pid = rm.rpc_sync("worker0", os.getpid)
    future = rm.rpc_async("worker0", time.sleep, (60,))
    cluster.close()
    assert not Path(f"/proc/{pid}").exists()
    assert isinstance(future.exception(30), rm.RemoteModError)


def test_a_killed_worker_fails_its_calls_and_no_others(fork_server: None) -> None:
    """Every call in flight ends in WorkerLost that names the signal; the other worker goes on."""
    with rm.launch(workers=["doomed", "fine"]) as cluster:
        echo = rm.RemoteModule("fine", Echo)
        futures = [rm.rpc_async("doomed", time.sleep, (60,)) for _ in range(50)]
        os.kill(cluster.engine.pid("doomed"), signal.SIGKILL)
        for future in futures:
            error = future.exception(30)
            assert isinstance(error, rm.WorkerLost)
            assert error.worker == "doomed"
            assert "SIGKILL" in str(error)
        with pytest.raises(rm.WorkerLost):
            rm.rpc_sync("doomed", os.getpid)
        assert echo(5) == 5


def test_a_worker_that_kills_itself_is_reported(fork_server: None) -> None:
    """A crash inside a call is that call's WorkerLost."""
    with rm.launch(workers=["fragile"]), pytest.raises(rm.WorkerLost, match="SIGKILL"):
        rm.rpc_sync("fragile", kill_self)


def test_an_exiting_module_is_reported(fork_server: None) -> None:
    """``sys.exit`` on a worker is an error of the call, not the end of the worker."""
    with rm.launch(workers=["w"]):
        with pytest.raises(rm.RemoteError, match=r"SystemExit|3"):
            rm.rpc_sync("w", sys.exit, (3,))
        assert rm.rpc_sync("w", int, ("1",)) == 1


@pytest.mark.slow
def test_the_callers_death_ends_its_workers() -> None:
    """Workers do not outlive a caller that is killed."""
    script = textwrap.dedent(
        """
        import os, sys, time
        import remotemod as rm
        cluster = rm.launch(workers=2)
        pids = [rm.rpc_sync(w, os.getpid) for w in cluster.workers]
        rm.rpc_async("worker0", time.sleep, (60,))
        print(*pids, flush=True)
        time.sleep(60)
        """
    )
    caller = programs.Program(["-c", script], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    pids = [int(word) for word in caller.stdout.readline().split()]
    caller.kill()
    caller.wait()
    caller.stdout.close()
    until = time.monotonic() + 30
    while time.monotonic() < until and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.05)
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["", "from __future__ import annotations"])
def test_a_script_without_main_guard_works(tmp_path: Path, first: str) -> None:
    """A plain script, its classes defined in ``__main__``, needs no ``if __name__`` guard."""
    script = tmp_path / "script.py"
    script.write_text(
        f"{first}\n"
        + textwrap.dedent(
            """
            from typing import NamedTuple
            import torch
            from torch import Tensor, nn
            import remotemod as rm

            class Pair(NamedTuple):
                x: Tensor
                n: int

            class Net(nn.Module):
                def __init__(self, k: int) -> None:
                    super().__init__()
                    self.k = k
                def forward(self, x: Tensor) -> Pair:
                    return Pair(x * self.k, self.k)

            with rm.launch(workers=["w"]):
                pair = rm.RemoteModule("w/cpu", Net, args=(3,))(torch.ones(2))
                assert type(pair) is Pair, type(pair)
                print(pair.x.tolist(), pair.n)
            """
        )
    )
    done = programs.run([str(script)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "[3.0, 3.0] 3\n"), done.stderr


@pytest.mark.slow
def test_a_cluster_left_open_ends_with_the_program() -> None:
    """A program that forgets to close its cluster exits cleanly and leaves nothing."""
    script = "import remotemod as rm, os; c = rm.launch(); print(rm.rpc_sync('worker0', os.getpid))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not Path(f"/proc/{done.stdout.strip()}").exists()


@pytest.mark.slow
def test_replies_larger_than_the_socket_do_not_block_requests(shm: rm.Cluster) -> None:
    """Hundreds of calls in flight, each larger than a socket buffer both ways, all complete."""
    echo = rm.RemoteModule("ps0", Echo)
    value = torch.zeros(50_000)
    futures = [echo.forward_async(value) for _ in range(200)]
    assert all(torch.equal(f.wait(30), value) for f in futures)


def test_memory_stays_flat(shm: rm.Cluster) -> None:
    """Large results give their memory back when they die."""
    echo = rm.RemoteModule("ps0", Echo)
    value = torch.zeros(1_000_000)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    echo(value)
    gc.collect()
    before = resident()
    for _ in range(100):
        echo(value)
    gc.collect()
    assert resident() - before < 50_000_000


def test_interrupted_waiting_leaves_the_connection_usable(shm: rm.Cluster, tmp_path: Path) -> None:
    """Ctrl-C while a call is waited for leaves the next call working."""
    gate = Gate(tmp_path)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            rm.rpc_sync("ps0", held, (gate.name,))
        timer.join()
        gate.open()
    finally:
        signal.signal(signal.SIGINT, old)
    assert rm.rpc_sync("ps0", int, ("4",)) == 4


def test_many_clusters_at_once(fork_server: None) -> None:
    """Two clusters with the same worker names do not meet."""
    with rm.launch(workers=["a"]) as first, rm.launch(workers=["a"]) as second:
        one = rm.RemoteModule("a", nn.Identity, cluster=first)
        two = rm.RemoteModule("a", nn.Identity, cluster=second)
        assert one.module_rref.rpc_sync().__class__ is not None
        assert two(torch.ones(1)).item() == one(torch.ones(1)).item() == 1


def test_no_child_is_left_waiting() -> None:
    """The fork server is this process's only child."""
    assert len(children()) <= 1


def test_modules_that_became_importable_later_can_be_sent(
    shm: rm.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker imports from what was put on ``sys.path`` after it was launched."""
    (tmp_path / "came_later.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    import came_later

    assert rm.rpc_sync("ps0", came_later.answer) == 42


def test_a_module_instance_is_refused_with_advice(shm: rm.Cluster) -> None:
    """Passing a module instead of its class says what to do."""
    with pytest.raises(TypeError, match="load_state_dict"):
        rm.RemoteModule("ps0", nn.Linear(1, 1))


@pytest.mark.slow
def test_very_many_tensors_in_one_call(shm: rm.Cluster) -> None:
    """The number of tensors in one value has no small bound."""
    echo = rm.RemoteModule("ps0", Echo)
    assert len(echo([torch.zeros(1)] + [torch.zeros(2) for _ in range(70_000)])) == 70_001


def test_a_slot_is_not_written_while_a_tensor_reads_it(shm: rm.Cluster) -> None:
    """Views, slices and kept inputs hold their memory against any number of later calls."""
    echo = rm.RemoteModule("ps0", Echo)
    size = 200_000
    views = [echo(torch.full((size,), i))[10:20] for i in range(12)]
    gc.collect()
    for i in range(50):
        echo(torch.full((size,), 1000 + i))
    assert [int(v[0]) for v in views] == list(range(12))
    keeper = rm.remote("ps0", Keeper)
    for i in range(5):
        keeper.rpc_sync().keep(torch.full((size,), i))
    for i in range(50):
        echo(torch.full((size,), 2000 + i))
    assert keeper.rpc_sync().first() == list(range(5))


class Keeper:
    def __init__(self) -> None:
        self.kept: list[torch.Tensor] = []

    def keep(self, tensor: torch.Tensor) -> None:
        self.kept.append(tensor)

    def first(self) -> list[int]:
        return [int(t[0]) for t in self.kept]


def test_what_cannot_travel_is_named_by_its_place(shm: rm.Cluster) -> None:
    """The error says which argument it was, and the connection goes on."""
    echo = rm.RemoteModule("ps0", Echo)
    with pytest.raises(rm.ProtocolError, match=r"^args\[0\]\['deep'\]\[1\]"):
        echo({"deep": [1, (i for i in "x")]})
    assert echo(1) == 1


@pytest.mark.slow
def test_a_forked_child_leaves_the_cluster_alone() -> None:
    """A fork (a data loader's, say) can neither use the cluster nor end it nor drop its references, and has its own heap."""
    script = textwrap.dedent(
        """
        import gc, os, sys, warnings
        warnings.simplefilter("ignore")
        import remotemod as rm, torch
        from remotemod.backends.shm.heap import heap
        cluster = rm.launch()
        echo = rm.RemoteModule("worker0", torch.nn.Identity)
        parents_heap = heap()
        pid = os.fork()
        if pid == 0:
            try:
                echo(torch.ones(1))
            except rm.RemoteModError as error:
                status = 7 if "forked" in str(error) and heap() is not parents_heap else 1
            del echo
            gc.collect()
            sys.exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), echo(torch.ones(1)).item())
        """
    )
    done = programs.run(["-c", script], capture_output=True, text=True)
    assert done.stdout == "7 1.0\n", done.stderr


def test_endpoints_end_with_their_module(shm: rm.Cluster) -> None:
    """What calls of a module have in common is forgotten on this side when its last handle goes."""
    endpoints = shm.engine._connections["ps0"]._endpoint_ids
    before = len(endpoints)
    for _ in range(3):
        echo = rm.RemoteModule("ps0", Echo, cluster=shm)
        assert echo(1) == 1
        assert len(endpoints) == before + 1
        del echo
        gc.collect()
        assert len(endpoints) == before


def test_the_first_call_of_a_method_after_a_death_is_lost_too() -> None:
    """What only now has to be announced fails like any other call to a worker that is gone."""
    with rm.launch(workers=["doomed"]) as cluster:
        handles = [rm.RemoteModule("doomed", Echo) for _ in range(3)]
        os.kill(cluster.engine.pid("doomed"), signal.SIGKILL)
        for never_called in handles:
            with pytest.raises(rm.WorkerLost, match="SIGKILL"):
                never_called(1)
