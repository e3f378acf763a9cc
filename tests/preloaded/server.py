"""The process that has loaded torch: it forks a program for each request and tells how it ended.

A request is one connection: a line of JSON with the files of the program beside it; answered by a line with its
process id, and, when it has ended, one with its status.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import importlib.util
import json
import os
import random
import selectors
import signal
import socket
import sys
import types
from typing import Any

__all__ = ["main"]

_ABOVE = 200
"""Where files are put out of the way of the numbers that they get in the program."""


def main(name: str) -> None:
    """Serves until standard input ends; in a child runs the program, to its end.

    Args:
        name: of the abstract socket on which requests arrive.
    """
    # First, so that it runs after all that others leave for the end: to take torch apart costs half a second.
    status = 0
    atexit.register(lambda: _leave(status))
    importlib.import_module("torch")
    importlib.import_module("remotemod.backends.processes.preload")
    gc.freeze()
    program = _Server(name).serve()
    if program is not None:
        status = _status_of(program)


def _leave(status: int) -> None:
    for file in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            file.flush()
    os._exit(status)


class _Server:
    def __init__(self, name: str) -> None:
        self._running: dict[int, tuple[int, socket.socket]] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(f"\0{name}")
        self._listener.listen(64)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(0, selectors.EVENT_READ)
        print("ready", flush=True)

    def serve(self) -> dict[str, Any] | None:
        """Returns in a child, with the request; and None when the tests are over."""
        while True:
            for key, _ in self._selector.select():
                if key.fd == 0:
                    for pid, _ in self._running.values():
                        os.kill(pid, signal.SIGKILL)
                    return None
                if key.fileobj is not self._listener:
                    self._ended(key.fd)
                elif (program := self._start()) is not None:
                    return program

    def _start(self) -> dict[str, Any] | None:
        asker, _ = self._listener.accept()
        request, fds = _receive(asker)
        for name in request["load"]:
            with contextlib.suppress(ImportError):  # the program that needs it says so
                importlib.import_module(name)
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            self._selector.close()
            self._listener.close()
            for pidfd, (_, other) in self._running.items():
                os.close(pidfd)
                other.close()
            asker.close()
            _take_files(dict(zip(request["fds"], fds, strict=True)))
            return request
        for fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        self._running[pidfd] = pid, asker
        self._selector.register(pidfd, selectors.EVENT_READ)
        _tell(asker, pid)
        return None

    def _ended(self, pidfd: int) -> None:
        pid, asker = self._running.pop(pidfd)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        with asker:
            _tell(asker, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _tell(asker: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # whoever asked has ended
        asker.sendall(b"%d\n" % number)


def _receive(asker: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, fds, _, _ = socket.recv_fds(asker, 1 << 16, 250)
    while not data.endswith(b"\n"):
        data += asker.recv(1 << 16)
    return json.loads(data), fds


def _take_files(files: dict[int, int]) -> None:
    """Gives the files the numbers that they have at who asked."""
    away = {number: fcntl.fcntl(fd, fcntl.F_DUPFD, _ABOVE) for number, fd in files.items()}
    for fd in files.values():
        os.close(fd)
    for number, fd in away.items():
        os.dup2(fd, number, inheritable=True)
        os.close(fd)


def _status_of(program: dict[str, Any]) -> int:
    """Runs a program; its exit status, after what the interpreter says of its end."""
    try:
        _run(program)
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _run(program: dict[str, Any]) -> None:
    """What the interpreter does with ``-c``, ``-m`` and a file."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if program["new_session"]:
        os.setsid()
    installed = [entry for entry in sys.path if entry not in ("", *_python_path())]
    os.environ.clear()
    os.environ.update(program["env"])
    os.chdir(program["cwd"])
    random.seed()
    _fork_the_fork_servers_too()
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]  # the program has what it imports
    what, *arguments = program["arguments"]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    vars(main)["__builtins__"] = __builtins__
    if what == "-c":
        text, *arguments = arguments
        first, sys.argv[:] = "", ["-c", *arguments]
        code = compile(text, "<string>", "exec", dont_inherit=True)
    elif what == "-m":
        name, *arguments = arguments
        first = os.getcwd()
    else:
        main.__file__ = what
        first, sys.argv[:] = os.path.dirname(os.path.abspath(what)), [what, *arguments]
        with open(what, encoding="utf-8") as file:
            code = compile(file.read(), what, "exec", dont_inherit=True)
    sys.path[:] = [first, *_python_path(), *installed]
    if what == "-m":
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
        assert spec is not None, f"no module {name}"
        assert spec.origin is not None
        main.__spec__, main.__package__, main.__file__ = spec, spec.parent, spec.origin
        sys.argv[:] = [spec.origin, *arguments]
        code = spec.loader.get_code(spec.name)  # type: ignore[union-attr]
    exec(code, vars(main))


def _fork_the_fork_servers_too() -> None:
    """The product's fork server loads torch in a process of its own; for a program it comes from here as well."""
    from remotemod.backends.processes import client as fork_server
    from tests.preloaded.programs import like_subprocess

    fork_server.subprocess = like_subprocess()  # type: ignore[assignment]


def _python_path() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
