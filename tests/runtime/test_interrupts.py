"""Ctrl-C may come at any point of any call, again and again: nothing is lost, and nothing gets stuck."""

from __future__ import annotations

import textwrap

import pytest

from tests.preloaded import programs

_SCRIPT = textwrap.dedent(
    """
    import os, random, signal, sys, threading, time
    import torch
    import remotemod as rm
    from remotemod.testing.zoo import Echo

    torch.set_grad_enabled(False)
    cluster = rm.launch(workers=["w"], arena=8 << 20)
    echo = rm.RemoteModule("w", Echo)
    begun, over = time.monotonic(), []
    counts = {"calls": 0, "others": 0, "pressed": 0, "caught": 0, "wrong": 0}

    def enough():
        # Two seconds at least, and on a slow machine until there is something to judge by.
        spent = time.monotonic() - begun
        return spent > 60 or spent > 2 and min(counts[k] for k in ("calls", "others", "caught")) > 20

    def press():
        while not enough():
            time.sleep(random.uniform(0.0005, 0.01))
            counts["pressed"] += 1
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        over.append(True)

    def check(key, sizes):
        x = torch.full((random.choice(sizes),), random.random())
        call = echo.forward_async(x).wait if random.random() < 0.3 else lambda: echo(x)
        counts["wrong"] += not torch.equal(call(), x)
        counts[key] += 1

    def others():
        while not over:
            check("others", [1, 5_000, 20_000])

    def calls():
        while not over:
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
    connection = cluster.engine._connections["w"]
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
    done = programs.run(["-c", _SCRIPT], capture_output=True, text=True)
    assert done.stdout == "sound\n", done.stderr
