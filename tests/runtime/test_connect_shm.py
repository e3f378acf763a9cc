"""A process uses workers that another one has launched, as if they were its own."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.handles.directory import DIRECTORY
from remotemod.testing import BackendConformance
from remotemod.testing.helpers import Tracked, alive, eventually
from remotemod.testing.zoo import Echo
from tests.preloaded import programs
from tests.runtime.launcher import Launcher


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """A process with two workers."""
    with Launcher(["one", "two"], tmp_path_factory.mktemp("launcher")) as found:
        yield found


@pytest.fixture
def guest(launcher: Launcher) -> Iterator[rm.Cluster]:
    """This process, connected to that one's workers."""
    with rm.connect(launcher.address) as cluster:
        yield cluster


def finished(script: str, *args: str) -> str:
    """What a process prints that runs a script to its end."""
    done = programs.run(
        ["-c", textwrap.dedent(script), *args],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_workers_are_those_of_the_launcher(launcher: Launcher, guest: rm.Cluster) -> None:
    """Names, ranks and processes are the launcher's; the address is the one that was connected to."""
    assert guest.workers == ["one", "two"]
    assert guest.backend == "shm"
    assert guest.address == launcher.address
    pids = launcher.run("found = [rm.rpc_sync(w, os.getpid) for w in cluster.workers]")
    assert [rm.rpc_sync(worker, os.getpid) for worker in (0, 1)] == pids


@pytest.mark.slow
def test_a_guest_trains_a_module(guest: rm.Cluster) -> None:
    """Forward, backward and an optimizer step on a worker change what they change locally."""
    remote, local = rm.RemoteModule("rank:1/cpu", nn.Linear, args=(3, 2)), nn.Linear(3, 2)
    remote.load_state_dict(local.state_dict())
    far = rm.RemoteOptimizer(torch.optim.SGD, remote, lr=0.1)
    near = torch.optim.SGD(local.parameters(), lr=0.1)
    x = torch.randn(4, 3)
    for module, optimizer in ((remote, far), (local, near)):
        module(x).square().sum().backward()
        optimizer.step()
    for name, value in remote.state_dict().items():
        assert torch.equal(value, local.state_dict()[name])


def test_a_part_of_the_launchers_is_found_by_its_name(
    launcher: Launcher, guest: rm.Cluster
) -> None:
    """A guest calls a module that the launcher has built, by name alone; and the launcher one of the guest's."""
    launcher.run("head = rm.RemoteModule('two', torch.nn.Linear, args=(3, 2), name='head')")
    x = torch.randn(2, 3)
    result = DIRECTORY.find("head").call("forward", (x,), {})
    told = launcher.run(f"found = head(torch.tensor({x.tolist()})).tolist()")
    assert torch.allclose(result, torch.tensor(told))
    mine = rm.RemoteModule("one", Echo, name="of the guest")
    ask = "from remotemod.handles.directory import DIRECTORY as r; found = r.find('of the guest').call('forward', (7,), {})"
    assert launcher.run(ask) == mine(7) == 7


def test_a_guest_that_closes_ends_nothing(launcher: Launcher) -> None:
    """What it kept is let go, its handles say that the cluster is closed, and the workers go on."""
    with rm.connect(launcher.address):
        ref = rm.remote("one", Tracked, ("a",))
        assert rm.rpc_sync("one", alive) == 1
    with pytest.raises(rm.RemoteModError, match="closed"):
        ref.rpc_sync().name()
    with rm.connect(launcher.address):
        assert eventually(lambda: rm.rpc_sync("one", alive) == 0)
    assert launcher.run("found = rm.rpc_sync('one', int, ('3',))") == 3


@pytest.mark.slow
def test_two_guests_and_the_launcher_work_at_once(launcher: Launcher, guest: rm.Cluster) -> None:
    """Calls of one do not wait for another's."""
    slow = rm.rpc_async("one", time.sleep, (2.0,))
    with rm.connect(launcher.address, arena=1 << 20, in_flight=2) as other:
        echo = rm.RemoteModule("one", Echo, cluster=other)
        value = torch.rand(1_000_000)  # no room in that arena
        futures = [echo.forward_async(value) for _ in range(5)]
        assert all(torch.equal(future.wait(), value) for future in futures)
        assert launcher.run("found = rm.rpc_sync('one', int, ('3',))") == 3
        assert not slow.done()
    slow.wait()


@pytest.mark.slow
def test_a_guest_that_dies_leaves_nothing_on_the_workers(
    launcher: Launcher, guest: rm.Cluster
) -> None:
    """The owner lets go of what a killed process held."""
    script = textwrap.dedent(
        """
        import sys, time
        import remotemod as rm
        from remotemod.testing.helpers import Tracked
        rm.connect(sys.argv[1])
        kept = [rm.remote(worker, Tracked, ("a",)) for worker in ("one", "one")]
        print("kept", flush=True)
        time.sleep(60)
        """
    )
    other = programs.Program(["-c", script, launcher.address], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    with other.stdout:
        assert other.stdout.readline() == "kept\n"
        assert rm.rpc_sync("one", alive) == 2
        other.kill()
        other.wait()
    assert eventually(lambda: rm.rpc_sync("one", alive) == 0)


# --- code -------------------------------------------------------------------------------------


def test_workers_import_what_only_the_guest_can(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Places that a guest had before it connected and that it got later are known to all workers, at the end."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    early, late = f"early_{uuid.uuid4().hex}", f"late_{uuid.uuid4().hex}"
    for name in (early, late):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(tmp_path / early)
    with rm.connect(launcher.address):
        first = rm.rpc_sync("one", lambda: sys.path[0])
        for name, worker in ((early, "two"), (late, "one")):
            if name == late:
                monkeypatch.syspath_prepend(tmp_path / late)
            assert rm.rpc_sync(worker, __import__(name).answer) == 42
        assert rm.rpc_sync("one", lambda: sys.path[0]) == first


@pytest.mark.slow
def test_classes_of_a_guests_main_module_travel(launcher: Launcher) -> None:
    """A plain script's own classes arrive by value, and come back as what they are."""
    script = """
        import sys
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

        with rm.connect(sys.argv[1]):
            pair = rm.RemoteModule("one/cpu", Net, args=(3,))(torch.ones(2))
            assert type(pair) is Pair, type(pair)
            print(pair.x.tolist(), pair.n)
        """
    assert finished(script, launcher.address) == "[3.0, 3.0] 3\n"


# --- ends -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("how", ["closes", "dies"])
def test_guests_hear_at_once_that_the_launcher_has_gone(tmp_path: Path, how: str) -> None:
    """Calls that are under way, and later ones, end in WorkerLost that says what to do."""
    with Launcher(["one", "two"], tmp_path) as launcher, rm.connect(launcher.address):
        echo = rm.RemoteModule("two", Echo)
        pids = [rm.rpc_sync(worker, os.getpid) for worker in ("one", "two")]
        running = [rm.rpc_async(worker, time.sleep, (60,)) for worker in ("one", "two")]
        if how == "closes":
            launcher.run("cluster.close()")
        else:
            launcher.process.send_signal(signal.SIGKILL)
        for future in running:
            assert isinstance(future.exception(15), rm.WorkerLost)
        with pytest.raises(rm.WorkerLost, match=r"connect to the new cluster\.address"):
            echo(1)
        assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
        with pytest.raises(rm.BackendUnavailable, match="has closed it or ended"):
            rm.connect(launcher.address)


@pytest.mark.slow
def test_a_dead_worker_is_lost_and_the_others_serve(tmp_path: Path) -> None:
    """Whoever connects after a worker's death hears of it when that one is called."""
    with Launcher(["one", "two"], tmp_path) as launcher, rm.connect(launcher.address) as before:
        pid = rm.rpc_sync("one", os.getpid)
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not Path(f"/proc/{pid}").exists())
        with rm.connect(launcher.address) as after:
            for cluster in (before, after):
                assert cluster.workers == ["one", "two"]
                assert rm.RemoteModule("rank:1/cpu", Echo, cluster=cluster)(5) == 5
                with pytest.raises(rm.WorkerLost, match="anew") as caught:
                    rm.RemoteModule("one", Echo, cluster=cluster)
                assert caught.value.worker == "one"


@pytest.mark.slow
def test_a_forked_child_of_a_guest_leaves_the_workers_alone(launcher: Launcher) -> None:
    """A fork can neither use the guest's connections nor drop its references."""
    script = """
        import gc, os, sys, warnings
        warnings.simplefilter("ignore")
        import remotemod as rm, torch
        cluster = rm.connect(sys.argv[1])
        echo = rm.RemoteModule("one", torch.nn.Identity)
        pid = os.fork()
        if pid == 0:
            try:
                echo(torch.ones(1))
            except rm.RemoteModError as error:
                status = 7 if "forked" in str(error) else 1
            del echo
            gc.collect()
            sys.exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), echo(torch.ones(1)).item())
        """
    assert finished(script, launcher.address) == "7 1.0\n"


# --- addresses --------------------------------------------------------------------------------


def test_a_backend_without_an_address_says_none() -> None:
    """Nobody connects to threads of another process."""
    with rm.launch(backend="inproc") as cluster:
        assert cluster.address is None


@pytest.mark.parametrize("rest", ["", "one", "0123456789abc", "0123456789AB", "0123456789ab/one"])
def test_a_malformed_address_is_refused(rest: str) -> None:
    """The error shows the form and says where an address comes from."""
    with pytest.raises(rm.BackendUnavailable, match=r"cluster\.address"):
        rm.connect(f"shm://{rest}")


def test_where_nobody_listens_the_error_says_why_that_may_be() -> None:
    """An address of the right form that leads nowhere."""
    with pytest.raises(rm.BackendUnavailable, match="another machine"):
        rm.connect(f"shm://{uuid.uuid4().hex[:12]}")


def test_another_users_workers_are_refused() -> None:
    """Whoever listens under a worker's name could answer with code, so it must be this user."""
    if os.getuid() != 0:
        pytest.skip("only root can start a process of another user")
    token = uuid.uuid4().hex[:12]
    script = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
        f"s.bind('\\0remotemod-{token}-one'); s.listen(); print('listens', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdin is not None
    assert other.stdout is not None
    with other.stdout, other.stdin:
        assert other.stdout.readline() == "listens\n"
        with pytest.raises(rm.BackendUnavailable, match="user of id 65534"):
            rm.connect(f"shm://{token}")
    other.wait(10)


@pytest.mark.parametrize("options", [{"arena": -1}, {"in_flight": 0}])
def test_options_are_checked(launcher: Launcher, options: dict[str, int]) -> None:
    """As ``rm.launch`` checks them."""
    with pytest.raises(ValueError, match="whole number"):
        rm.connect(launcher.address, **options)


def test_no_connection_is_left(launcher: Launcher) -> None:
    """A closed guest has no socket and no thread open."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with rm.connect(launcher.address):
            assert rm.rpc_sync("one", int, ("1",)) == 1
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.slow
class TestConnected(BackendConformance):
    """The whole contract, over workers that another process has launched."""

    address = ""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _launched(cls, launcher: Launcher) -> None:
        cls.address = launcher.address

    @classmethod
    def open(cls, workers: list[str]) -> rm.Cluster:
        """A further connection."""
        assert workers == ["one", "two"]
        return rm.connect(cls.address)
