"""A program that is forked from the process with torch is to its test what one is that was started anew."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.preloaded.programs import Program, run

SAY = "import os, sys; print(__name__, sys.argv, os.getcwd(), os.environ.get('NEW'), sys.path[0], sys.stdin.read())"


@pytest.mark.parametrize("form", ["-c", "-m", "file"])
def test_it_is_started_like_python(form: str, tmp_path: Path) -> None:
    """Name, arguments, folder, environment, import path and input are as the interpreter has them."""
    (tmp_path / "say.py").write_text(SAY)
    where, first = {"-c": ("-c", ""), "-m": ("", str(tmp_path)), "file": ("", str(tmp_path))}[form]
    command = {"-c": ["-c", SAY], "-m": ["-m", "say"], "file": [str(tmp_path / "say.py")]}[form]
    done = run(
        [*command, "one", "two"],
        cwd=tmp_path,
        env={**os.environ, "NEW": "yes"},
        input="read",
        capture_output=True,
        text=True,
    )
    name = where or str(tmp_path / "say.py")
    argv = [name, "one", "two"]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"__main__ {argv} {tmp_path} yes {first} read\n"


def test_it_has_torch_and_nothing_of_the_tests() -> None:
    """What is loaded is what the process that forks has loaded; without ``from __future__`` of that one's."""
    code = (
        "import sys, threading\n"
        "print('torch' in sys.modules, 'pytest' in sys.modules, 'tests' in sys.modules)\n"
        "def f(x: int): ...\n"
        "print(f.__annotations__['x'] is int, threading.active_count(), sys.modules['__main__'].f is f)"
    )
    assert run(["-c", code], stdout=subprocess.PIPE, text=True).stdout == (
        "True False False\nTrue 1 True\n"
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [("", 0), ("raise SystemExit(3)", 3), ("1 / 0", 1), ("import os; os._exit(7)", 7)],
)
def test_its_status_is_pythons(code: str, status: int) -> None:
    """However it ends."""
    done = run(["-c", code], capture_output=True, text=True)
    assert done.returncode == status
    assert ("ZeroDivisionError" in done.stderr) is (status == 1)


def test_what_is_left_for_its_end_is_done() -> None:
    """Functions for the exit run, and what was printed is written."""
    code = "import atexit; atexit.register(print, 'last'); print('first')"
    assert run(["-c", code], stdout=subprocess.PIPE, text=True).stdout == "first\nlast\n"


def test_it_can_be_waited_for_and_killed() -> None:
    """One that takes too long is no hanging test."""
    program = Program(["-c", "import time; print('on', flush=True); time.sleep(60)"], stdout=-1)
    assert program.stdout is not None
    assert program.stdout.readline() == b"on\n"
    assert program.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.01)
    program.kill()
    assert program.wait(60) == program.poll() == -signal.SIGKILL
    program.stdout.close()
    with pytest.raises(subprocess.TimeoutExpired):
        run(["-c", "import time; time.sleep(60)"], timeout=0.1)


def test_files_are_passed_under_their_numbers() -> None:
    """As ``pass_fds`` says; nothing else of the tests' is open there."""
    reading, writing = os.pipe()
    code = f"import os; os.write({writing}, b'here'); print(len(os.listdir('/proc/self/fd')))"
    done = run(["-c", code], pass_fds=[writing], stdout=subprocess.PIPE, text=True)
    os.close(writing)
    with open(reading, "rb") as file:
        assert file.read() == b"here"
    assert int(done.stdout) <= 6
