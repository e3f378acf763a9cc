"""Let TorchScript's threads finish before Python does.

A call of ``torch.jit.fork`` is done before its thread has released the result. A result that a Python operator
made has a Python object, for which that thread needs the interpreter; if that is ending meanwhile, Python ends the
thread in the middle of C++ code, and the whole process aborts ("terminate called without an active exception"). Seen
with torch 2.14.1 and 2.15.0 in programs that end right after such a call; Python 3.14 no longer ends threads so.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import threading
from typing import Any

import torch

from remotemod.torch_compat.script import compile_script

__all__ = ["finish_before_exit"]

_SECONDS = 2.0
"""Seconds for which the end of a program waits for busy threads."""


@functools.cache
def finish_before_exit() -> None:
    """Have all of TorchScript's threads release their results before this process ends; cheap to repeat."""
    atexit.register(_meet_all, os.getpid())


def _meet_all(pid: int) -> None:
    """Run a task in each thread at once: a thread that runs it has released all earlier results."""
    if os.getpid() != pid:  # a forked process has none of the threads
        return
    threads = torch.get_num_interop_threads()
    together = threading.Barrier(threads)

    def meet(number: int) -> int:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(_SECONDS)
        return number

    make: Any = torch.library.Library  # untyped in torch
    library = make("remotemod_exit", "DEF")
    library.define("meet(int number) -> int", "CONSERVATIVE")
    library.impl("meet", meet, "CompositeImplicitAutograd")
    compile_script(_forks)(threads)


def _meet(number: int) -> int:
    met: int = torch.ops.remotemod_exit.meet(number)
    return met


def _forks(threads: int) -> None:
    meetings = [torch.jit.fork(_meet, number) for number in range(threads)]  # type: ignore[no-untyped-call]
    for meeting in meetings:
        torch.jit.wait(meeting)  # type: ignore[no-untyped-call]
