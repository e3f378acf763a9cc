"""Starts programs at the process that has loaded torch, much as ``subprocess`` does."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import types
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

__all__ = ["Program", "like_subprocess", "run", "server_pid", "stop"]

ROOT = Path(__file__).parents[2]
_NAME = "REMOTEMOD_TEST_PRELOADED"
_SERVER: list[subprocess.Popen[bytes]] = []
_LOCK = threading.Lock()


def _server() -> str:
    """The name of the server's socket; starts it, in the process of the tests, with the first program."""
    with _LOCK:
        if _NAME not in os.environ:
            name = f"preloaded-{uuid.uuid4().hex}"
            code = f"from tests.preloaded.server import main; main({name!r})"
            server = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=ROOT,
                # NumPy would start threads; those of torch's that are idle are to sleep, as in any fork server.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            assert server.stdout is not None
            with server.stdout as out:
                assert out.readline() == b"ready\n", "the process that loads torch has failed"
            _SERVER.append(server)
            os.environ[_NAME] = name
        return os.environ[_NAME]


def server_pid() -> int | None:
    """The process id of the server, which is no test's; None if there is none."""
    return _SERVER[0].pid if _SERVER else None


def stop() -> None:
    """Ends the server, and with it every program that runs."""
    with _LOCK:
        for server in _SERVER:
            assert server.stdin is not None
            server.stdin.close()
            server.wait()
        _SERVER.clear()
        os.environ.pop(_NAME, None)


class Program:
    """A running program; what it has of ``subprocess.Popen`` means what it means there.

    Args:
        arguments: what stands behind ``python``: ``-c``, ``-m`` or a file, and so on.
        load: modules that the server loads first, as it has torch: those that take long and are needed often.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        load: Sequence[str] = (),
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        start_new_session: bool = False,
        text: bool = False,
    ) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        self.stdin: IO[Any] | None = None
        self.stdout: IO[Any] | None = None
        self.stderr: IO[Any] | None = None
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(f"\0{_server()}")
        request = {
            "arguments": self.args,
            "load": list(load),
            "cwd": str(cwd or os.getcwd()),
            "env": {**(os.environ if env is None else env), _NAME: os.environ[_NAME]},
            "new_session": start_new_session,
            "fds": [0, 1, 2, *pass_fds],
        }
        with contextlib.ExitStack() as theirs:
            fds = [
                self._file(n, what, theirs, text) for n, what in enumerate((stdin, stdout, stderr))
            ]
            data = json.dumps(request).encode() + b"\n"
            sent = socket.send_fds(self._socket, [data], [*fds, *pass_fds])
            self._socket.sendall(data[sent:])
        self._answers = self._socket.makefile("rb")
        answer = self._answers.readline()
        assert answer, "the process that has loaded torch has ended; its error is above"
        self.pid = int(answer)

    def _file(
        self, number: int, what: int | IO[Any] | None, theirs: contextlib.ExitStack, text: bool
    ) -> int:
        if what is None:
            return number
        if what == subprocess.DEVNULL:
            return theirs.enter_context(open(os.devnull, "r+b", buffering=0)).fileno()
        if not isinstance(what, int):
            return what.fileno()
        if what != subprocess.PIPE:
            return what
        reads, writes = os.pipe()
        ours, other = (writes, reads) if number == 0 else (reads, writes)
        theirs.callback(os.close, other)
        mode = ("w" if number == 0 else "r") + ("" if text else "b")
        file = os.fdopen(ours, mode, encoding="utf-8" if text else None)
        setattr(self, ("stdin", "stdout", "stderr")[number], file)
        return other

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end."""
        with self._lock:
            if self.returncode is None:
                with selectors.DefaultSelector() as selector:
                    selector.register(self._socket, selectors.EVENT_READ)
                    if not selector.select(timeout):
                        raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
                self.returncode = int(self._answers.readline() or -signal.SIGKILL)
                self._answers.close()
                self._socket.close()
            return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills it."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Writes its input, reads its outputs to their ends and waits for its own."""
        until = None if timeout is None else time.monotonic() + timeout
        found: dict[str, Any] = {}
        reading = []
        for name in ("stdout", "stderr"):
            file = getattr(self, name)
            if file is not None and not file.closed:
                keep = lambda file=file, name=name: found.update({name: file.read()})
                reading.append(threading.Thread(target=keep, daemon=True))
        for thread in reading:
            thread.start()
        if self.stdin is not None:
            with self.stdin as stdin, contextlib.suppress(BrokenPipeError):
                if input:
                    stdin.write(input)
        for thread in reading:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        for file in (self.stdout, self.stderr):
            if file is not None:
                file.close()
        self.wait(None if until is None else max(0.0, until - time.monotonic()))
        return found.get("stdout"), found.get("stderr")

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()
        self.wait()


def run(
    arguments: Sequence[str],
    *,
    timeout: float = 120.0,
    check: bool = False,
    capture_output: bool = False,
    input: Any = None,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Runs a program to its end, as ``subprocess.run`` does; one that takes too long is killed."""
    if capture_output:
        options.update(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if input is not None:
        options.update(stdin=subprocess.PIPE)
    program = Program(arguments, **options)
    try:
        out, err = program.communicate(input, timeout=timeout)
    except BaseException:
        program.kill()
        program.__exit__()
        raise
    assert program.returncode is not None
    done = subprocess.CompletedProcess(program.args, program.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def like_subprocess(load: Sequence[str] = ()) -> Any:
    """What the product's fork server uses of ``subprocess``; what it starts is forked here.

    Args:
        load: modules that the server loads first.
    """

    def start(command: list[str], **options: Any) -> Program:
        return Program(command[1:], load=load, **options)

    same = {name: getattr(subprocess, name) for name in ("PIPE", "DEVNULL", "TimeoutExpired")}
    return types.SimpleNamespace(Popen=start, **same)
