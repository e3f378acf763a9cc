"""What a timeout may be, and what counts where nobody has said one."""

from __future__ import annotations

import fractions
import math
import time

import numpy as np
import pytest
import torch

import remotemod as rm
from remotemod.backends.torch_rpc.futures import rpc_timeout
from remotemod.timeouts import deadline_after, resolve_timeout


@pytest.mark.parametrize(
    ("timeout", "otherwise", "expected"),
    [
        (None, None, None),
        (None, 300.0, 300.0),
        (None, math.inf, math.inf),
        (5, 300.0, 5.0),
        (0, 300.0, 0.0),
        (math.inf, 300.0, math.inf),
        (np.float32(0.5), None, 0.5),
        (np.int64(2), None, 2.0),
        (fractions.Fraction(1, 2), None, 0.5),
    ],
)
def test_none_leaves_it_to_the_next(timeout, otherwise, expected) -> None:
    """Any real number is a number of seconds, infinity is one, and None is what else was said."""
    assert resolve_timeout(timeout, otherwise) == expected


@pytest.mark.parametrize(
    ("timeout", "error", "words"),
    [
        (-0.1, ValueError, "negative; got -0.1"),
        (-math.inf, ValueError, "negative"),
        (math.nan, ValueError, "nan"),
        (np.float32("nan"), ValueError, "nan"),
        ("5", TypeError, "number of seconds.*got str '5'"),
        (True, TypeError, "got bool"),
        (1j, TypeError, "got complex"),
        (torch.ones(1), TypeError, "got Tensor"),
    ],
    ids=repr,
)
def test_what_is_no_time_is_refused(timeout, error, words) -> None:
    """By where it is given, for calls and, but for the negative, for waiting."""
    with pytest.raises(error, match=words):
        resolve_timeout(timeout, 300.0)
    if "negative" not in words:
        with pytest.raises(error, match=words):
            deadline_after(timeout)
        with pytest.raises(error, match=words):
            rm.Future().wait(timeout)


def test_deadlines() -> None:
    """Seconds from now; None for no bound, whichever way it is said; what is negative is over."""
    now = time.monotonic()
    assert now + 5 <= deadline_after(5) <= time.monotonic() + 5
    assert deadline_after(None) is deadline_after(math.inf) is deadline_after(1e9) is None
    assert deadline_after(-1.0) < now
    with pytest.raises(rm.DeadlineExceeded):
        rm.Future().wait(-1)


def test_torchs_timeouts() -> None:
    """Torch says no bound by 0, and would take half a millisecond for that, too."""
    assert [rpc_timeout(t) for t in (None, math.inf, 0, 0.0004, 2)] == [-1, 0, 0.001, 0.001, 2]


@pytest.mark.parametrize("backend", ["inproc", "shm"])
def test_a_launch_refuses_what_is_no_time(backend: str) -> None:
    """Before a worker is started."""
    with pytest.raises(ValueError, match="negative"):
        rm.launch(1, backend=backend, timeout=-1)


def test_references_and_optimizers(shm: rm.Cluster) -> None:
    """They take infinity, and refuse what is no time."""
    handle = rm.RemoteModule("ps0", torch.nn.Linear, args=(1, 1))
    ref = rm.remote("ps0", int, (3,))
    assert ref.to_here(timeout=math.inf) == 3
    assert ref.rpc_sync(timeout=math.inf).bit_length() == 2
    with pytest.raises(ValueError, match="negative"):
        ref.to_here(timeout=-1)
    optimizer = rm.RemoteOptimizer(torch.optim.SGD, handle, lr=0.1)
    optimizer.timeout = math.inf
    handle(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    with pytest.raises(TypeError, match="number of seconds"):
        optimizer.timeout = "soon"
