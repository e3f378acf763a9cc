"""What ``import remotemod`` does, and that it does nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

ACTS = r"""
import json, os, sys, threading
sys.dont_write_bytecode = True
acts = []

def watch(event, arguments):
    if event == "open":
        mode, flags = arguments[1] or "r", arguments[2] or 0
        if set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            acts.append(f"{event} {arguments[0]}")
    elif event.split(".")[0] in {"socket", "subprocess", "_thread", "ctypes", "mmap", "shutil", "tempfile"} or event in {
        "os.fork", "os.posix_spawn", "os.system", "os.putenv", "os.mkdir", "os.remove", "os.rename", "signal.pthread_kill"
    }:
        acts.append(event)

before, loaded = list(sys.meta_path), set(sys.modules)
sys.addaudithook(watch)
import remotemod
acts = list(acts)
print(json.dumps({
    "acts": acts,
    "finders": [type(f).__name__ for f in sys.meta_path if f not in before],
    "foreign": sorted({n.partition(".")[0] for n in set(sys.modules) - loaded} - {"remotemod"} - set(sys.stdlib_module_names)),
}))
"""

AFTER_TORCH = r"""
import json, sys
if sys.argv[1] == "torch first":
    import torch
    plain = torch.jit.load
    import remotemod
else:
    import remotemod
    import torch
    plain = torch.jit.load.__wrapped__
print(json.dumps({
    "finders": [type(f).__module__ for f in sys.meta_path if "remotemod" in type(f).__module__],
    "replaced": torch.jit.load is not plain and torch.jit.load.__wrapped__ is plain,
    "operators": sorted(n.partition("::")[2] for n in torch._C._dispatch_get_all_op_names() if n.startswith("remotemod::")),
    "heavy": sorted({"libcst", "jinja2", "msgspec", "rich", "remotemod.handles.module"} & set(sys.modules)),
}))
"""


def run(program: str, *arguments: str) -> Any:
    """What a fresh interpreter prints as JSON."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return json.loads(done.stdout)


def test_an_import_waits_for_torch_and_does_nothing_else() -> None:
    """One finder is added; no process, thread, socket or file is made, and no other library loaded."""
    assert run(ACTS) == {"acts": [], "finders": ["_WaitsForTorch"], "foreign": []}


@pytest.mark.slow
@pytest.mark.parametrize("order", ["torch first", "remotemod first"])
def test_torch_is_prepared_in_two_ways(order: str) -> None:
    """``torch.jit.load`` is ours around its own, the tracing operators are declared, and the finder is gone."""
    operators = ["backward", "call", "collect", "collect_kept", "submit", "submit_kept"]
    expected = {"finders": [], "replaced": True, "operators": operators, "heavy": []}
    assert run(AFTER_TORCH, order) == expected
