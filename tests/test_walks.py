"""docs/walks.md says what runs, in its order."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
import torch
from torch import nn

import remotemod as rm

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "walks.md").read_text()
STEP = re.compile(r"^\* `([\w/.]+)` `([\w.]+)`", re.MULTILINE)

Steps = list[tuple[str, str]]

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="before Python 3.11 code knows no qualified name"
)


def steps_of(heading: str) -> list[Steps]:
    """The lists below a heading, each as (file, function)."""
    section = PAGE.split(f"\n{heading}")[1].split("\n## ")[0]
    blocks = re.split(r"\n\n(?!\* )", section)
    return [steps for block in blocks if (steps := STEP.findall(block))]


CALLS: Steps = []


def note(frame: FrameType, event: str, arg: object) -> None:
    if event == "call":
        path = Path(frame.f_code.co_filename)
        for top in ("remotemod", "cli"):
            if top in path.parts:
                inner = path.parts[len(path.parts) - 1 - path.parts[::-1].index(top) :]
                CALLS.append(("/".join(inner), frame.f_code.co_qualname))


def start() -> None:
    CALLS.clear()
    sys.setprofile(note)


def stop() -> Steps:
    sys.setprofile(None)
    return list(CALLS)


def calls_of(function: Callable[[], object]) -> Steps:
    start()
    try:
        function()
    finally:
        calls = stop()
    return calls


def assert_in_order(steps: Steps, calls: Steps) -> None:
    """The steps are among the calls, in their order."""
    left = iter(calls)
    for step in steps:
        assert step in left, f"{step} does not come here"


def test_gen_goes_as_the_page_says(tmp_path: Path) -> None:
    from remotemod.cli.generating import run

    (steps,) = steps_of("## `remotemod gen`")
    target = str(ROOT / "examples" / "digits" / "model.py") + ":Backbone"
    options = {"check": False, "diff": False, "stdout": False, "live": False}
    calls = calls_of(lambda: run([target], tmp_path, form=None, device_moves=True, **options))
    first = list(dict.fromkeys(calls))
    assert_in_order(steps, first)


def test_a_tensor_goes_as_the_page_says() -> None:
    caller, worker, caller_back, worker_back = steps_of("## A tensor")
    with rm.launch(["w"]), torch.autograd.set_multithreading_enabled(False):
        remote = rm.RemoteModule("w", nn.Linear, args=(2, 2))
        x = torch.ones(1, 2, requires_grad=True)
        remote(x).sum().backward()
        rm.rpc_sync("w", start)
        results: list[torch.Tensor] = []
        assert_in_order(caller, calls_of(lambda: results.append(remote(x))))
        assert_in_order(worker, rm.rpc_sync("w", stop))
        loss = results[0].sum()
        rm.rpc_sync("w", start)
        assert_in_order(caller_back, calls_of(loss.backward))
        assert_in_order(worker_back, rm.rpc_sync("w", stop))
