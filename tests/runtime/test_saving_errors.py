"""What ``save`` and ``load`` of a remote module refuse: told by name, with nothing half done."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.owner import weights as saving
from remotemod.testing.helpers import assert_same
from tests.runtime.parents import Extra, Held, Renaming, Table

MIB = 2**20


@pytest.fixture(scope="module", params=["inproc", "shm"])
def cluster(request: pytest.FixtureRequest, fork_server: None) -> Iterator[rm.Cluster]:
    with rm.launch(workers=["one"], backend=request.param) as cluster:
        yield cluster


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- what goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Held(a=torch.eye(2).to_sparse()), "'a' is sparse"),
        (lambda: Held(a=torch.ones(2, dtype=torch.complex128)), "'a' has the dtype torch.complex128"),
        (lambda: Held(a=torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8)), "'a' has the dtype torch.qint8"),
        (Extra, "'_extra_state' is a dict"),
        (lambda: nn.LazyLinear(3), "'weight' has no values yet"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Lazy modules", "ignore:torch.quantize")
def test_what_a_file_cannot_hold_is_named(
    cluster: rm.Cluster, tmp_path: Path, make: Any, says: str
) -> None:
    """The error names the key and its kind and points to state_dict(); no file appears."""
    handle = rm.RemoteModule("one", make)
    with pytest.raises(ValueError, match=rf"worker 'one'.*{says}.*state_dict\(\)"):
        handle.save(tmp_path / "w")
    assert names(tmp_path) == []


def test_a_module_without_memory_is_told(cluster: rm.Cluster, tmp_path: Path) -> None:
    """On the meta device there is nothing to save and nothing to load into."""
    handle = rm.RemoteModule("one/meta", nn.Linear, args=(2, 3))
    with pytest.raises(ValueError, match="'weight' is on the meta device"):
        handle.save(tmp_path / "w")
    rm.RemoteModule("one", nn.Linear, args=(2, 3)).save(tmp_path / "w")
    with pytest.raises(RuntimeError, match="'bias' has no memory here"):
        handle.load(tmp_path / "w")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"weight": torch.ones(3, 2)}, "the file lacks 'bias'"),
        ({"weight": torch.ones(3, 2), "bias": torch.ones(3), "x": torch.ones(1)}, "the module has no 'x'"),
        ({"weight": torch.ones(2, 3), "bias": torch.ones(3)}, r"'weight' has the shape \(2, 3\) in the file and \(3, 2\) here"),
        ({"weight": torch.ones(3, 2), "bias": torch.ones(3).half()}, "'bias' is F16 in the file and torch.float32 here"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_changes_nothing(
    cluster: rm.Cluster, tmp_path: Path, state: dict[str, Tensor], says: str
) -> None:
    """Every fault is found before the first copy, and told by name."""
    handle = rm.RemoteModule("one", nn.Linear, args=(2, 3))
    before = {key: value.clone() for key, value in handle.state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "w")
    with pytest.raises(RuntimeError, match=f"does not fit the Linear on worker 'one'.*{says}"):
        handle.load(tmp_path / "w")
    assert_same(dict(handle.state_dict()), before)


def test_without_strict_other_names_are_returned(cluster: rm.Cluster, tmp_path: Path) -> None:
    """With strict=False what fits is loaded and the rest is named."""
    handle = rm.RemoteModule("one", nn.Linear, args=(2, 3))
    safetensors.torch.save_file({"weight": torch.ones(3, 2), "more": torch.ones(1)}, tmp_path / "w")
    found = handle.load(tmp_path / "w", strict=False)
    assert (found.missing_keys, found.unexpected_keys) == (["bias"], ["more"])
    assert torch.equal(handle.state_dict()["weight"], torch.ones(3, 2))


def test_what_hooks_make_is_not_loaded_in_silence(cluster: rm.Cluster, tmp_path: Path) -> None:
    """A state that a hook computes can be saved; loading it from a file is refused by name."""
    handle = rm.RemoteModule("one", computed)
    handle.save(tmp_path / "w")
    with pytest.raises(RuntimeError, match="'weight' is neither a parameter nor a buffer"):
        handle.load(tmp_path / "w")


def computed() -> nn.Module:
    module = nn.Linear(2, 2)
    module.register_state_dict_post_hook(
        lambda m, state, prefix, meta: state.update(weight=m.weight.detach() * 2)
    )
    return module


def test_renamed_weights_are_saved_and_loaded(cluster: rm.Cluster, tmp_path: Path) -> None:
    """Names are those of the state dict, where hooks have renamed them."""
    handle = rm.RemoteModule("one", Renaming)
    handle.save(tmp_path / "w")
    assert list(safetensors.torch.load_file(tmp_path / "w")) == ["renamed"]
    assert handle.load(tmp_path / "w") == ([], [])


@pytest.mark.parametrize("damage", ["short", "foreign", "empty"])
def test_a_damaged_file_is_refused(cluster: rm.Cluster, tmp_path: Path, damage: str) -> None:
    """A truncated file and one of another kind say so, and nothing is loaded."""
    handle = rm.RemoteModule("one", nn.Linear, args=(2, 3))
    handle.save(tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    (tmp_path / "w").write_bytes(
        {"short": data[:-4], "foreign": b"hello" * 9, "empty": b""}[damage]
    )
    with pytest.raises(ValueError, match="w' is no safetensors file, or not a whole one"):
        handle.load(tmp_path / "w")


def test_missing_places_are_told(cluster: rm.Cluster, tmp_path: Path) -> None:
    """No such folder, no such file and a folder in the file's place are OSErrors that name the owner."""
    handle = rm.RemoteModule("one", nn.Linear, args=(1, 1))
    with pytest.raises(FileNotFoundError, match=r"cannot save .* worker 'one'.*nowhere/w"):
        handle.save(tmp_path / "nowhere" / "w")
    with pytest.raises(FileNotFoundError, match=r"cannot load .* worker 'one'"):
        handle.load(tmp_path / "w")
    with pytest.raises(IsADirectoryError, match="worker 'one'"):
        handle.save(tmp_path)
    with pytest.raises(IsADirectoryError, match="worker 'one'"):
        handle.load(tmp_path)
    assert names(tmp_path) == []


def test_a_forbidden_folder_is_told(fork_server: None, tmp_path: Path) -> None:
    """Without permission the error is a PermissionError."""
    tmp_path.chmod(0o500)
    with rm.launch(workers=["one"]):
        handle = rm.RemoteModule("one", nn.Linear, args=(1, 1))
        if os.geteuid() == 0:
            rm.rpc_sync("one", os.seteuid, (65534,))  # nothing is forbidden to root
        with pytest.raises(PermissionError, match="worker 'one'"):
            handle.save(tmp_path / "w")


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_save_that_fails_leaves_the_old_file(fork_server: None, tmp_path: Path) -> None:
    """When the file may not grow any further, the old one is whole and no other is left."""
    with rm.launch(workers=["one"]):
        handle = rm.RemoteModule("one", Table, args=(4096,))
        (tmp_path / "w").write_text("old")
        rm.rpc_sync("one", limit_files, (MIB,))
        with pytest.raises(
            OSError, match=r"cannot save the weights .* worker 'one': File too large"
        ):
            handle.save(tmp_path / "w")
        assert names(tmp_path) == ["w"]
        assert (tmp_path / "w").read_text() == "old"


@pytest.mark.slow
def test_a_worker_that_dies_while_it_saves_leaves_a_whole_file(
    fork_server: None, tmp_path: Path
) -> None:
    """Wherever the worker is killed, the file is the old one or the new one."""
    with rm.launch(workers=["one"]):
        table = rm.RemoteModule("one", Table, args=(200 * 1024,))
        pid = rm.rpc_sync("one", os.getpid)
        (tmp_path / "w").write_text("old")
        done = rm.rpc_async("one", saving.save, (table.module_rref, str(tmp_path / "w")))
        while not done.done() and names(tmp_path) == ["w"]:
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        assert done.exception() is None or isinstance(done.exception(), rm.WorkerLost)
        if (tmp_path / "w").read_bytes() != b"old":
            assert set(safetensors.torch.load_file(tmp_path / "w")) == {"weight"}
