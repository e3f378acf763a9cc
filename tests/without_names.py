"""Removes private names of torch for real, one a process, and tells what is left; run by test_torch_compat.

The program prints a line of JSON a name: ``[name, error or null]``. Each name has a process of its own, forked from one
with torch loaded, in which remotemod is imported after the name has gone.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any

import cloudpickle  # noqa: F401 - what remotemod loads beside torch need not be loaded for each name
import jinja2  # noqa: F401
import msgspec  # noqa: F401
import torch
from torch import nn


def remove(name: str) -> None:
    """Takes a name out of torch; one that torch itself needs, or that instances have, is hidden from remotemod alone."""
    holder, _, last = name.rpartition(".")
    try:
        place = resolve(holder)
        value = getattr(place, last)
        delattr(place, last)
    except (AttributeError, ImportError, TypeError):
        hide(name)
        return
    try:
        nn.Linear(2, 2).to("cpu")(torch.ones(1, 2)).sum().backward()
        nn.Linear(2, 2).load_state_dict(nn.Linear(2, 2).state_dict())
    except (AttributeError, ImportError, TypeError, NameError):
        setattr(place, last, value)
        hide(name)


def resolve(path: str) -> object:
    """What a dotted path below torch leads to."""
    found: Any = torch
    for part in path.split(".")[1:]:
        found = getattr(found, part, None) or importlib.import_module(f"{found.__name__}.{part}")
    return found


def hide(name: str) -> None:
    """Has remotemod not find a name that torch cannot be without."""
    from remotemod.torch_compat.catalogue import catalogue
    from remotemod.torch_compat.private import MISSING

    for private in (each for topic in catalogue().values() for each in topic):
        if private.name == name:
            vars(private)["found"] = MISSING


def remove_torchscript() -> None:
    """Takes all of ``torch.jit`` away but the two questions that torch itself asks it."""
    for name in {*torch.jit.__all__, "RecursiveScriptModule"} - {"is_scripting", "is_tracing"}:
        delattr(torch.jit, name)


def call() -> None:
    """What must work whatever is missing: an import, and eager calls."""
    import remotemod as rm

    assert rm.RemoteModule("cpu", nn.Linear, args=(2, 2))(torch.ones(1, 2)).shape == (1, 2)
    with rm.launch(backend="inproc"):
        remote = rm.RemoteModule("worker0/cpu", nn.Linear, args=(2, 2))
        inputs = torch.ones(1, 2)
        assert torch.equal(remote(inputs), remote.forward_async(inputs).wait())
        with torch.no_grad():
            assert remote(inputs).shape == (1, 2)


def main() -> None:
    for name in sys.argv[1:]:
        reads, writes = os.pipe()
        if os.fork() == 0:
            error = None
            try:
                if name == "torch.jit":
                    remove_torchscript()
                elif name == "torch.distributed.rpc":
                    sys.modules[name] = None  # type: ignore[assignment]  # so an import of it fails
                else:
                    remove(name)
                call()
            except BaseException:
                error = traceback.format_exc()
            os.write(writes, json.dumps([name, error]).encode()[:60_000])
            os._exit(0)
        os.close(writes)
        with os.fdopen(reads) as answer:
            print(answer.read(), flush=True)
        os.wait()


if __name__ == "__main__":
    main()
