"""Try one backend, as the program of a process of its own: ``python -m remotemod.doctor.round_trip NAME``."""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

__all__ = ["round_trip"]

_CALLS = 50


def round_trip(backend: str) -> dict[str, Any]:
    """Launch a worker, call a module on it, run backward through it, and compare with a local module.

    Args:
        backend: its name.

    Returns:
        The capabilities that it has, ``launch`` and ``call`` in seconds.

    Raises:
        RuntimeError: a result or a gradient is wrong.
    """
    import torch
    from torch import nn

    import remotemod as rm

    begin = time.perf_counter()
    with rm.launch(["doctor"], backend=backend, timeout=30.0) as cluster:
        rm.rpc_sync("doctor", torch.add, (torch.ones(1), 1))
        launch = time.perf_counter() - begin
        local = nn.Linear(4, 3)
        remote = rm.RemoteModule("doctor/cpu", nn.Linear, args=(4, 3))
        remote.load_state_dict(local.state_dict())
        mine, theirs = (torch.ones(2, 4, requires_grad=True) for _ in range(2))
        expected, result = local(mine), remote(theirs)
        expected.sum().backward()
        result.sum().backward()
        if not torch.equal(expected, result):
            raise RuntimeError(f"a call returned {result.tolist()} and not {expected.tolist()}")
        assert mine.grad is not None
        if theirs.grad is None or not torch.equal(mine.grad, theirs.grad):
            raise RuntimeError(f"a gradient is {theirs.grad} and not {mine.grad}")
        times = []
        with torch.no_grad():
            for _ in range(_CALLS):
                begin = time.perf_counter()
                remote(mine)
                times.append(time.perf_counter() - begin)
        can = [name for name, value in vars(cluster.capabilities).items() if value]
    return {"capabilities": can, "launch": launch, "call": statistics.median(times)}


if __name__ == "__main__":
    print(json.dumps(round_trip(sys.argv[1])))
