"""Programs of their own: one that has the part and waits, and one that only has files: ROLE FOLDER BACKEND [ADDRESS]."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import remotemod as rm

FILES = {"rm.load": "model.pt", "torch.jit.load": "model.pt", "torch.export.load": "program.pt2"}


def load(how: str, folder: Path) -> Any:
    """A model from its file."""
    import torch

    path = folder / FILES[how]
    if how == "rm.load":
        return rm.load(path)
    return torch.jit.load(path) if how == "torch.jit.load" else torch.export.load(path).module()


def fresh(folder: Path, backend: str, address: str) -> None:
    """Loads and calls all files, with nothing of the user's but their names; prints results and gradients."""
    import torch

    with reach(backend, folder, address):
        for how in FILES:
            found: Any
            try:
                x = (torch.arange(6.0).reshape(2, 3) / 6).requires_grad_()
                result = load(how, folder)(x)
                result.sum().backward()
                found = [result.tolist(), x.grad.tolist()]
            except Exception as error:
                found = f"{type(error).__name__}: {error}"
            print("found", json.dumps([how, found]))
    assert "tests.features.model" not in sys.modules or backend == "inproc"


def has_the_part(folder: Path, backend: str, address: str) -> None:
    """Is the other member of a group of torch's RPC: it builds the part, writes the files, and waits."""
    from tests.features.capture import write_files
    from tests.features.model import place

    with group("owner", 0, folder):
        part = place("owner")
        write_files(part, folder)
        del part


@contextlib.contextmanager
def reach(backend: str, folder: Path, address: str) -> Iterator[None]:
    """The cluster on which the part is."""
    if backend == "torch_rpc":
        with group("fresh", 1, folder):
            from tests.archive.roles import wait_for

            wait_for(folder / "written")
            yield
    elif (
        backend == "inproc"
    ):  # its workers are threads: another process has others, and parts of its own
        from tests.features.model import NAME, place

        with rm.launch(workers=["ps0"], backend=backend):
            part = place("ps0")
            yield
            assert part.on == "ps0", NAME
    else:
        with rm.connect(address):
            yield


def group(name: str, rank: int, folder: Path) -> Any:
    """Membership in a group of two processes; all leave it together."""
    from tests.archive.roles import group

    return group(name, rank, folder)


ROLES: dict[str, Callable[[Path, str, str], None]] = {"fresh": fresh, "owner": has_the_part}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    role, folder, backend, *address = sys.argv[1:]
    ROLES[role](Path(folder), backend, "".join(address))
