"""Ctrl-C may come at any point of any call, again and again: nothing is lost, and nothing gets stuck."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

_SCRIPT = textwrap.dedent(
    """
    import os, random, signal, sys, threading, time
    import torch
    import remotemod as rm
    from remotemod.testing.zoo import Echo

    torch.set_grad_enabled(False)
    cluster = rm.launch(workers=["w"], arena=8 << 20)
    echo = rm.RemoteModule("w", Echo)
    end = time.monotonic() + 4
    counts = {"calls": 0, "others": 0, "pressed": 0, "caught": 0, "wrong": 0}

    def press():
        while time.monotonic() < end - 0.5:
            time.sleep(random.uniform(0.0005, 0.01))
            counts["pressed"] += 1
            os.kill(os.getpid(), signal.SIGINT)

    def check(key, sizes):
        x = torch.full((random.choice(sizes),), random.random())
        call = echo.forward_async(x).wait if random.random() < 0.3 else lambda: echo(x)
        counts["wrong"] += not torch.equal(call(), x)
        counts[key] += 1

    def others():
        while time.monotonic() < end:
            check("others", [1, 5_000, 20_000])

    def calls():
        while time.monotonic() < end:
            try:
                check("calls", [1, 100, 5_000, 20_000, 1_000_000, 3_000_000])
            except KeyboardInterrupt:
                counts["caught"] += 1

    threads = [threading.Thread(target=press), threading.Thread(target=others)]
    while True:
        try:
            for thread in threads:
                if not thread.ident:
                    thread.start()
            calls()
            for thread in threads:
                thread.join()
            break
        except KeyboardInterrupt:
            counts["caught"] += 1
    connection = cluster._backend._connections["w"]
    assert echo(7) == 7
    assert not connection._pending, connection._pending
    assert not counts["wrong"], counts
    assert min(counts["calls"], counts["others"], counts["caught"]) > 20, counts
    cluster.close()
    print("sound")
    """
)


@pytest.mark.slow
def test_pressing_ctrl_c_all_the_time_loses_nothing() -> None:
    """Hundreds of interruptions of small and large calls leave a connection that works, for other threads too."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=90
    )
    assert done.stdout == "sound\n", done.stderr
