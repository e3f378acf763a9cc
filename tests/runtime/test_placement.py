"""Remote device strings and cluster arguments, good and bad."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.rpc.placement import Placement
from tests.preloaded import programs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worker1/cuda:0", Placement("worker1", None, "cuda:0")),
        ("worker1", Placement("worker1", None, "cpu")),
        ("rank:1/cpu", Placement(None, 1, "cpu")),
        ("rank:1", Placement(None, 1, "cpu")),
        ("cpu", Placement(None, None, "cpu")),
        ("cuda:1", Placement(None, None, "cuda:1")),
    ],
)
def test_every_form_is_read(text: str, expected: Placement) -> None:
    """The forms are those of torch's own RemoteModule."""
    assert Placement.parse(text) == expected


@pytest.mark.parametrize("text", ["", "/cpu", "w/nonsense", "w/", "w/cpu/0", None, 3])
def test_nonsense_is_refused(text: Any) -> None:
    """What has none of the forms is a PlacementError that names them."""
    with pytest.raises(rm.PlacementError, match="worker/device"):
        Placement.parse(text)


def test_a_misspelt_worker_is_suggested(shm: rm.Cluster) -> None:
    """The error names the nearest worker."""
    with pytest.raises(rm.PlacementError, match="did you mean 'ps0'"):
        rm.RemoteModule("sp0/cpu", nn.Identity)
    with pytest.raises(rm.PlacementError, match="no worker of rank 9"):
        rm.rpc_sync(9, int)


@pytest.mark.parametrize(
    "workers", [0, [], True, ["a", "a"], ["a/b"], [""], ["rank:1"], "ps0", None]
)
def test_bad_worker_lists_are_refused(workers: Any) -> None:
    """Names must be usable and unique, and there must be one."""
    with pytest.raises(rm.PlacementError):
        rm.launch(workers=workers)


def test_a_missing_backend_is_named() -> None:
    """An unknown backend lists the installed ones."""
    with pytest.raises(rm.BackendUnavailable, match="inproc, shm"):
        rm.launch(backend="smh")
    with pytest.raises(TypeError, match="nonsense"):
        rm.launch(backend="inproc", nonsense=1)


@pytest.mark.slow
def test_a_module_in_this_process_needs_no_cluster() -> None:
    """``"cpu"`` places the module here."""
    code = (
        "import torch, remotemod as rm\n"
        "m = rm.RemoteModule('cpu', torch.nn.Linear, args=(2, 1))\n"
        "m(torch.ones(1, 2)).sum().backward()\n"
        "print(m.remote_parameters()[0].local_value().grad.tolist())\n"
        "try: rm.RemoteModule('w0/cpu', torch.nn.Identity)\n"
        "except rm.RemoteModError as error: print('rm.launch' in str(error))\n"
    )
    done = programs.run(["-c", code], capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["[[1.0, 1.0]]", "True"], done.stderr


def test_the_interface_must_have_a_forward(shm: rm.Cluster) -> None:
    """An interface without ``forward`` is one clear error."""

    class NoForward:
        def run(self, x: torch.Tensor) -> torch.Tensor:
            return x

    with pytest.raises(rm.InterfaceError):
        rm.RemoteModule("ps0", nn.Identity, interface=NoForward)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            "/",
            ValueError,
            "Could not parse remote_device: /. The valid format is '<workername>/<device>'",
        ),
        ("/cuda:0", ValueError, "Could not parse remote_device: /cuda:0. The valid format is"),
        (
            "w/cuda:0/cuda:1",
            ValueError,
            "Could not parse remote_device: w/cuda:0/cuda:1. The valid",
        ),
        ("w/", RuntimeError, "Device string must not be empty"),
        ("w/cpu2", RuntimeError, "Invalid device string: 'cpu2'"),
        ("w/foo", RuntimeError, "device type at start of device string"),
    ],
)
def test_what_torchs_users_catch_and_read_is_there(
    text: str, kind: type[Exception], message: str
) -> None:
    """A malformed string fails with the type and the words that torch's own RemoteModule has for it."""
    with pytest.raises(kind) as caught:
        Placement.parse(text)
    assert message in str(caught.value)
    assert isinstance(caught.value, rm.PlacementError)
