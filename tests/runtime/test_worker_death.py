"""How a worker's death reaches those who wait for it: once, at once, and with what is known of it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import remotemod as rm
from remotemod.backends.processes import client
from remotemod.testing.helpers import eventually
from remotemod.testing.zoo import Echo
from tests.preloaded import programs


def die(last_words: bytes = b"") -> None:
    os.write(2, last_words)
    os.kill(os.getpid(), signal.SIGKILL)


def leave(status: int) -> None:
    os._exit(status)


def crash() -> None:
    ctypes.string_at(0)


def write_lines(count: int) -> None:
    os.write(2, b"".join(b"%d\n" % i for i in range(count)))


def leave_a_child_that_writes() -> int:
    """A child that has the worker's stderr and writes there for ever."""
    script = "import os, time\nwhile True: os.write(2, b'still here\\n'); time.sleep(0.001)"
    return subprocess.Popen([sys.executable, "-c", script]).pid


def warn() -> str:
    print("said by a worker whose fork server is dead", file=sys.stderr)
    return "said"


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that its parent has not looked after yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def lost(worker: str, function: object, *args: object) -> rm.WorkerLost:
    with pytest.raises(rm.WorkerLost) as raised:
        rm.rpc_sync(worker, function, args)  # type: ignore[arg-type]
    return raised.value


def test_each_call_in_flight_ends_once(fork_server: None) -> None:
    """Of a thousand calls to a killed worker each has its result or WorkerLost, and is told once."""
    told: Counter[int] = Counter()
    with rm.launch(workers=["doomed", "fine"]) as cluster:
        echo = rm.RemoteModule("fine", Echo)
        futures = [rm.rpc_async("doomed", time.sleep, (0.05,))]
        futures += [rm.rpc_async("doomed", int, (str(i),)) for i in range(999)]
        for number, future in enumerate(futures):
            future.add_done_callback(lambda _, number=number: told.update([number]))
        futures[0].wait(30)
        os.kill(cluster.engine.pid("doomed"), signal.SIGKILL)
        for number, future in enumerate(futures[1:]):
            error = future.exception(30)
            if error is None:
                assert future.wait() == number
            else:
                assert isinstance(error, rm.WorkerLost)
                assert (error.worker, error.signal) == ("doomed", signal.SIGKILL)
        assert echo(5) == 5
        until = time.monotonic() + 30
        while len(told) < 1000 and time.monotonic() < until:
            time.sleep(0.01)
    assert set(told.values()) == {1}
    assert len(told) == 1000


def test_whoever_waits_hears_of_it(fork_server: None) -> None:
    """A thread in a call, a callback and an ``await`` each end with WorkerLost, and so does what comes later."""
    with rm.launch(workers=3) as cluster:

        def kill_soon(worker: str) -> None:
            threading.Timer(0.1, os.kill, (cluster.engine.pid(worker), signal.SIGKILL)).start()

        kill_soon("worker0")
        assert lost("worker0", time.sleep, 60).signal == signal.SIGKILL

        heard: list[BaseException | None] = []
        called = threading.Event()

        def callback(future: rm.Future[None]) -> None:
            heard.append(future.exception())
            called.set()

        rm.rpc_async("worker1", time.sleep, (60,)).add_done_callback(callback)
        kill_soon("worker1")
        assert called.wait(30)
        assert isinstance(heard[0], rm.WorkerLost)

        async def wait() -> None:
            await rm.rpc_async("worker2", time.sleep, (60,))

        kill_soon("worker2")
        with pytest.raises(rm.WorkerLost):
            asyncio.run(wait())
        for worker in cluster.workers:
            assert lost(worker, int).signal == signal.SIGKILL


def test_a_death_between_calls_is_the_next_calls(fork_server: None) -> None:
    """Nobody need be waiting when a worker dies."""
    with rm.launch(workers=["w"]) as cluster:
        os.kill(cluster.engine.pid("w"), signal.SIGTERM)
        error = lost("w", time.sleep, 60)
    assert (error.worker, error.signal, error.stderr) == ("w", signal.SIGTERM, ())
    assert str(error) == "worker 'w' is gone: it was killed by SIGTERM (signal 15)"


@pytest.mark.parametrize("backend", ["shm", "torch_rpc"])
def test_its_last_words_are_told(fork_server: None, backend: str) -> None:
    """The last lines of its stderr are an attribute and part of the message, a line without end too."""
    with rm.launch(workers=["w"], backend=backend):
        error = lost("w", die, b"first\nout of luck")
    assert error.stderr == ("first", "out of luck")
    assert str(error).endswith("(signal 9)\n  the last of its stderr:\n    first\n    out of luck")


def test_an_exit_is_no_signal(fork_server: None) -> None:
    """A worker that leaves by itself tells its status."""
    with rm.launch(workers=["w"]):
        error = lost("w", leave, 3)
    assert error.signal is None
    assert "it exited with status 3" in str(error)


def test_a_crash_tells_where(fork_server: None) -> None:
    """After a segmentation fault the Python stack is among the last lines."""
    with rm.launch(workers=["w"]):
        error = lost("w", crash)
    assert error.signal == signal.SIGSEGV
    assert any(" in crash" in line for line in error.stderr), error.stderr


def test_only_the_end_of_much_is_kept(fork_server: None) -> None:
    """A worker may write more than a pipe holds; the last twenty lines are told."""
    with rm.launch(workers=["w"]):
        rm.rpc_sync("w", write_lines, (50_000,))
        error = lost("w", die)
    assert [int(line) for line in error.stderr] == list(range(49_980, 50_000))


def test_long_lines_are_cut(fork_server: None) -> None:
    """The report of a death has at most 4 KiB of them."""
    with rm.launch(workers=["w"]):
        error = lost("w", die, b"\n".join(b"%d" % i * 3000 for i in range(10)))
    assert error.stderr[-1] == "9" * 500
    assert sum(len(line) for line in error.stderr) <= 4096


def test_a_child_that_keeps_stderr_open_holds_nothing_up(fork_server: None) -> None:
    """Who has inherited a dead worker's stderr delays neither the report nor the end of the cluster."""
    with rm.launch(workers=["w"]):
        pid = rm.rpc_sync("w", leave_a_child_that_writes)
        try:
            assert lost("w", die).signal == signal.SIGKILL
            with rm.launch(workers=["next"]):
                assert rm.rpc_sync("next", int) == 0
        finally:
            os.kill(pid, signal.SIGKILL)


def test_the_error_can_be_pickled() -> None:
    """Everything that is known survives pickle."""
    error = rm.WorkerLost("gone", "w", signal=9, stderr=("a", "b"))
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is rm.WorkerLost
    assert (str(back), back.worker, back.signal, back.stderr) == (str(error), "w", 9, ("a", "b"))


@pytest.mark.slow
def test_workers_outlive_the_fork_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it workers answer, write and end with their cluster; the next launch has a new one."""
    monkeypatch.setattr(client._SHARED, "value", client._Shared())
    with rm.launch(workers=3) as cluster:
        assert client._SHARED.value.server is not None
        server = client._SHARED.value.server._process
        os.kill(server.pid, signal.SIGKILL)
        server.wait(30)
        pids = [cluster.engine.pid(worker) for worker in cluster.workers]
        assert rm.rpc_sync("worker0", warn) == "said"
        error = lost("worker1", die)
        assert "the fork server ended unexpectedly (exit status -9)" in str(error)
        assert (error.signal, error.stderr) == (None, ())
        with rm.launch(workers=["new"]):
            assert rm.rpc_sync("new", int) == 0
        busy = rm.rpc_async("worker0", time.sleep, (60,))
    assert isinstance(busy.exception(30), rm.RemoteModError)
    assert client._SHARED.value.server is None
    until = time.monotonic() + 30
    while any(is_alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.slow
def test_workers_end_with_their_caller_and_not_with_its_children() -> None:
    """A process that the caller has forked (a data loader's, say) keeps no worker alive."""
    script = textwrap.dedent(
        """
        import os, time
        import remotemod as rm
        pid = rm.launch(workers=["w"]).engine.pid("w")
        child = os.fork()
        if child == 0:
            os.closerange(0, 3)
            time.sleep(600)
        print(pid, child, flush=True)
        os._exit(0)
        """
    )
    done = programs.run(["-c", script], capture_output=True, text=True)
    worker, child = map(int, done.stdout.split())
    try:
        assert is_alive(child)
        assert eventually(lambda: not is_alive(worker))
    finally:
        os.kill(child, signal.SIGKILL)
