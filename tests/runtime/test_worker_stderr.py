"""What workers write to stderr reaches the user, and harms nobody where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from remotemod.backends.processes.stderr import StderrPipe, UserStderr
from tests.preloaded import programs

BEGIN = "import os, signal, sys, time\nimport remotemod as rm\n"


@pytest.fixture
def pipe(capfd: pytest.CaptureFixture[str]) -> tuple[StderrPipe, int]:
    """A worker's pipe that is read into this process's stderr, and its writing end."""
    reading, writing = os.pipe()
    return StderrPipe(reading, UserStderr()), writing


def test_a_pipe_says_what_is_to_come(pipe: tuple[StderrPipe, int]) -> None:
    """There may be something, nothing now, or nothing ever again."""
    ours, theirs = pipe
    os.write(theirs, b"a\nb")
    assert [ours.read(), ours.read()] == [True, None]
    os.close(theirs)
    assert ours.read() is False
    ours.close()
    ours.drain()
    assert ours.last_lines() == ["a", "b"]


def test_bytes_that_are_no_text_are_shown(pipe: tuple[StderrPipe, int]) -> None:
    """Whatever a worker writes can be told."""
    ours, theirs = pipe
    os.write(theirs, b"\xff\xfe\r\nprogress 1\rprogress 2\n")
    os.close(theirs)
    ours.drain()
    ours.close()
    assert ours.last_lines() == ["\ufffd\ufffd", "progress 1", "progress 2"]


@pytest.mark.slow
@pytest.mark.parametrize("to", ["pipe", "file"])
def test_all_of_it_is_seen(to: str, tmp_path: Path) -> None:
    """The user's stderr gets everything, of workers that live and of those that have died."""
    script = BEGIN + (
        "os.write(2, b'mine\\n')\n"
        "with rm.launch(workers=2):\n"
        "    rm.rpc_sync('worker0', os.write, (2, b'one\\n'))\n"
        "    rm.rpc_sync('worker1', os.write, (2, b'x' * 3_000_000 + b'\\nlast'))\n"
        "os.write(2, b'mine again')\n"
    )
    with open(tmp_path / "stderr", "w+b") as file:
        done = programs.run(
            ["-c", script],
            stderr=file if to == "file" else subprocess.PIPE,
            timeout=60,
        )
        file.seek(0)
        seen = file.read() if to == "file" else done.stderr
    assert done.returncode == 0, seen[-1000:]
    assert seen.count(b"x") == 3_000_000
    assert seen.replace(b"x", b"") == b"mine\none\n\nlastmine again"


@pytest.mark.slow
@pytest.mark.parametrize("stderr", ["full", "closed pipe", "none"])
def test_a_stderr_that_takes_nothing_harms_nobody(stderr: str) -> None:
    """Launches, other workers, deaths and the end go on when nobody reads the user's stderr."""
    script = BEGIN + (
        "with rm.launch(workers=2):\n"
        "    rm.rpc_async('worker0', os.write, (2, b'x' * 1_000_000))\n"
        "    time.sleep(0.2)\n"
        "    with rm.launch(workers=['other']):\n"
        "        pid = rm.rpc_sync('other', os.getpid)\n"
        "        os.kill(pid, signal.SIGKILL)\n"
        "        try:\n"
        "            rm.rpc_sync('other', int)\n"
        "        except rm.WorkerLost as error:\n"
        "            print(error.signal)\n"
        "    print(rm.rpc_sync('worker1', int))\n"
    )
    reading, writing = os.pipe()
    if stderr == "closed pipe":
        os.close(reading)
    done: subprocess.CompletedProcess[bytes]
    if stderr == "none":
        without = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", script]
        done = subprocess.run(without, stdout=subprocess.PIPE, timeout=60)
    else:
        done = programs.run(["-c", script], stdout=subprocess.PIPE, stderr=writing)
    os.close(writing)
    if stderr != "closed pipe":
        os.close(reading)
    assert (done.returncode, done.stdout) == (0, b"9\n0\n")
