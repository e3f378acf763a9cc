"""Programs of their own that build, export or load; a test starts them: ROLE FOLDER [BACKEND]."""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch

import remotemod as rm
from tests.archive import fresh

X = torch.tensor([[1.0, -2.0, 0.5]])
PATIENCE = 60.0


def own_cluster(folder: Path, backend: str) -> None:
    """Launches a cluster, builds the parts by name from the same seeds, and loads another process's archive."""
    import archive_zoo as zoo

    with rm.launch(workers=["ps0"], backend=backend):
        head = rm.RemoteModule("ps0/cpu", zoo.SeveralModule, interface=zoo.Several, name="head")
        tail = rm.RemoteModule("ps0/cpu", zoo.NamedModule, interface=zoo.Named, name="tail")
        with torch.no_grad():
            say(rm.load(folder / "model.pt")(X), folder)
        assert head.on == tail.on


def say(result: Any, folder: Path) -> None:
    """Prints what a model answered."""
    print("answer", fresh.plain(result))


# --- a group of torch's RPC, whose processes were all started by somebody else ----------------


def builder(folder: Path, _: str) -> None:
    """Has the parts and saves the model, and waits until it was loaded."""
    import archive_zoo as zoo

    with group("builder", 0, folder):
        head = rm.RemoteModule(
            "builder/cpu", zoo.scripted_several, interface=zoo.Several, name="head"
        )
        tail = rm.RemoteModule("builder/cpu", zoo.NamedModule, interface=zoo.Named, name="tail")
        rm.export(zoo.Model(head, tail), folder / "model.pt")
        wait_for(folder / "loaded")
        assert head.on == tail.on


def loader(folder: Path, _: str) -> None:
    """Loads the model and calls it; it has none of the user's code."""
    fresh.forget_user_code()
    with group("loader", 1, folder):
        wait_for(folder / "model.pt")
        try:
            model = rm.load(folder / "model.pt")
            x = X.clone().requires_grad_()
            y = model(x)
            y[0].sum().backward()
            say((y, x.grad), folder)
        finally:
            (folder / "loaded").touch()


class group:
    """Membership in the group, until all have finished."""

    def __init__(self, name: str, rank: int, folder: Path) -> None:
        import torch.distributed.rpc as rpc

        options = rpc.TensorPipeRpcBackendOptions(
            init_method=f"file://{folder}/rendezvous", rpc_timeout=PATIENCE
        )
        self._rpc = rpc
        rpc.init_rpc(name, rank=rank, world_size=2, rpc_backend_options=options)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._rpc.shutdown(timeout=PATIENCE)


def wait_for(path: Path) -> None:
    """Waits until another process has written a file."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"nobody wrote {path}")
        time.sleep(0.02)


ROLES = {f.__name__: f for f in (own_cluster, builder, loader)}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    ROLES[sys.argv[1]](Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
