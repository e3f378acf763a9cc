"""``save`` and ``load`` of a remote module: safetensors files that the owner writes and reads in little memory."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.helpers import assert_same
from tests.runtime.parents import Block, Held, Table, Tied, clear, on_owner

MIB = 2**20


@pytest.fixture(scope="module", params=["inproc", "shm"])
def cluster(request: pytest.FixtureRequest, fork_server: None) -> Iterator[rm.Cluster]:
    with rm.launch(workers=["one"], backend=request.param) as cluster:
        yield cluster


class Store(nn.Module):
    """Has methods that are called as the remote module's own."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = nn.Parameter(torch.ones(1))
        self.values: dict[str, int] = {}

    def forward(self) -> int:
        return len(self.values)

    def save(self, key: str, value: int) -> None:
        self.values[key] = value

    def load(self, key: str) -> int:
        return self.values[key]


def transposed() -> nn.Module:
    return Held(t=torch.arange(6.0).reshape(2, 3).t(), c=torch.ones(2, 2, 3, 3).mT[..., ::2])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_library_reads_what_was_saved(cluster: rm.Cluster, tmp_path: Path) -> None:
    """The file holds the state dict's tensors, to the bit, and nothing else lies in the folder."""
    handle = rm.RemoteModule("one", Block)
    handle.save(tmp_path / "block.safetensors")
    assert_same(
        dict(sorted(safetensors.torch.load_file(tmp_path / "block.safetensors").items())),
        dict(sorted(handle.state_dict().items())),
    )
    assert names(tmp_path) == ["block.safetensors"]


def test_the_header_is_aligned(cluster: rm.Cluster, tmp_path: Path) -> None:
    """The data begins at a multiple of eight, without gaps, larger items first."""
    rm.RemoteModule("one", Block).save(tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    places = sorted(entry["data_offsets"] for entry in header.values())
    assert length % 8 == 0
    assert [start for start, _ in places] == [0] + [end for _, end in places[:-1]]
    assert places[-1][1] == len(data) - 8 - length
    assert list(header)[:2] == ["inner.2.num_batches_tracked", "norm.num_batches_tracked"]


def test_what_was_saved_is_loaded_into_the_same_parameters(
    cluster: rm.Cluster, tmp_path: Path
) -> None:
    """Values come back, parameters stay the objects they were, and nothing requires a graph."""
    handle, other = rm.RemoteModule("one", Block), rm.RemoteModule("one", Block)
    before = on_owner(other, lambda m: [id(p) for p in m.parameters()])
    handle.save(tmp_path / "w")
    found = other.load(tmp_path / "w")
    assert (found.missing_keys, found.unexpected_keys) == ([], [])
    assert repr(found) == "<All keys matched successfully>"
    assert_same(other.state_dict(), handle.state_dict())
    assert on_owner(other, lambda m: [id(p) for p in m.parameters()]) == before
    assert on_owner(other, lambda m: all(p.requires_grad and p.is_leaf for p in m.parameters()))


def test_files_of_the_library_are_loaded(cluster: rm.Cluster, tmp_path: Path) -> None:
    """What safetensors.torch has saved, metadata and all, loads into a remote module."""
    local, handle = Block(), rm.RemoteModule("one", Block)
    safetensors.torch.save_file(local.state_dict(), tmp_path / "w", metadata={"format": "pt"})
    handle.load(tmp_path / "w")
    assert_same(handle.state_dict(), local.state_dict())


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([True, False]),
        torch.tensor([1 + 2j, 3j]).to(torch.complex64),
        torch.tensor([0.5, 2.0]).to(torch.float8_e4m3fn),
        torch.tensor([0.5, 2.0]).to(torch.float8_e5m2),
        torch.tensor([0.1, 2.0], dtype=torch.bfloat16),
        torch.tensor([1, 2], dtype=torch.uint16),
        torch.tensor(7),
        torch.zeros(0, 3),
        torch.zeros(3, 0, 2, dtype=torch.float64),
    ],
    ids=lambda t: f"{t.dtype}{list(t.shape)}",
)
def test_each_dtype_comes_back(cluster: rm.Cluster, tmp_path: Path, tensor: Tensor) -> None:
    """Dtypes and shapes of every kind are saved and loaded bit by bit, and the library agrees."""
    handle = rm.RemoteModule("one", Held, kwargs={"x": tensor.clone(), "odd": torch.ones(3).bool()})
    other = rm.RemoteModule(
        "one", Held, kwargs={"x": torch.zeros_like(tensor), "odd": torch.zeros(3).bool()}
    )
    handle.save(tmp_path / "w")
    other.load(tmp_path / "w")
    for found in (other.state_dict()["x"], safetensors.torch.load_file(tmp_path / "w")["x"]):
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found.view(-1).view(torch.uint8), tensor.view(-1).view(torch.uint8)) or (
            tensor.numel() == 0
        )


def test_tensors_that_are_not_contiguous(cluster: rm.Cluster, tmp_path: Path) -> None:
    """Transposed and strided tensors are written in the order of their items and read into place."""
    handle = rm.RemoteModule("one", transposed)
    expected = {key: value.clone() for key, value in handle.state_dict().items()}
    handle.save(tmp_path / "w")
    assert_same(dict(sorted(safetensors.torch.load_file(tmp_path / "w").items())), {
        key: expected[key].contiguous() for key in sorted(expected)
    })  # fmt: skip
    on_owner(handle, clear)
    handle.load(tmp_path / "w")
    assert_same(dict(handle.state_dict()), expected)


def test_a_tensor_of_many_pieces(cluster: rm.Cluster, tmp_path: Path) -> None:
    """Rows longer than a piece, and many rows in a piece, end up where they belong."""
    wide = torch.arange(3 * 3_000_001, dtype=torch.float32).reshape(3, 3_000_001)
    tall = torch.arange(3_000_001 * 3, dtype=torch.int32).reshape(3_000_001, 3).t()
    local = Held(wide=wide, tall=tall)
    handle = rm.RemoteModule("one", Held, kwargs={"wide": wide, "tall": tall})
    handle.save(tmp_path / "w")
    found = safetensors.torch.load_file(tmp_path / "w")
    assert torch.equal(found["wide"], wide)
    assert torch.equal(found["tall"], tall)
    other = rm.RemoteModule("one", Held, kwargs={"wide": wide * 0, "tall": tall * 0})
    other.load(tmp_path / "w")
    assert_same(other.state_dict(), local.state_dict())


def test_tied_weights_are_written_once(cluster: rm.Cluster, tmp_path: Path) -> None:
    """The file holds one tensor and the other name; both load, with the library's loader too."""
    handle, local = rm.RemoteModule("one", Tied), Tied()
    handle.save(tmp_path / "w")
    with safe_open(tmp_path / "w", "pt") as file:
        assert list(file.keys()) == ["out.weight"]
        assert file.metadata() == {"table.weight": "out.weight"}
    assert safetensors.torch.load_model(local, tmp_path / "w") == (set(), [])
    assert_same(dict(local.state_dict()), dict(handle.state_dict()))
    other = rm.RemoteModule("one", Tied)
    assert other.load(tmp_path / "w") == ([], [])
    assert_same(other.state_dict(), handle.state_dict())


def test_an_alias_loads_where_nothing_is_tied(cluster: rm.Cluster, tmp_path: Path) -> None:
    """A module that has both names but no tie gets the values under both."""
    rm.RemoteModule("one", Tied).save(tmp_path / "w")
    handle = rm.RemoteModule("one", untied)
    assert handle.load(tmp_path / "w") == ([], [])
    state = handle.state_dict()
    assert torch.equal(state["out.weight"], state["table.weight"])


def untied() -> nn.Module:
    model = Tied()
    model.out.weight = nn.Parameter(torch.zeros(5, 3))
    return model


def test_a_relative_path_is_the_callers(
    cluster: rm.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path counts from this process's working directory, on save and on load."""
    monkeypatch.chdir(tmp_path)
    handle = rm.RemoteModule("one", nn.Linear, args=(1, 1))
    handle.save("here.safetensors")
    assert names(tmp_path) == ["here.safetensors"]
    handle.load("here.safetensors")


def test_methods_of_these_names_are_the_modules(cluster: rm.Cluster, tmp_path: Path) -> None:
    """An interface's own save and load win; ours are reached through the class."""
    store = rm.RemoteModule("one", Store)
    store.save("a", 3)
    assert store.load("a") == 3
    assert store.save_async("b", 4).wait() is None
    assert store() == 2
    rm.RemoteModule.save(store, tmp_path / "w")
    assert rm.RemoteModule.load(store, tmp_path / "w") == ([], [])


def test_a_stub_with_such_methods_excuses_them_to_type_checkers() -> None:
    """The generated file says that its save and load are not the base class's."""
    text = rm.render(rm.read_interface(Store))
    assert 'disable-error-code="no-any-return, override"' in text
    assert "def save(self, key: str, value: int)" in text


def test_a_save_follows_links(cluster: rm.Cluster, tmp_path: Path) -> None:
    """A link stays a link; the file that it names is the new one."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    rm.RemoteModule("one", nn.Linear, args=(1, 1)).save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert set(safetensors.torch.load_file(tmp_path / "real")) == {"weight", "bias"}


# --- memory -----------------------------------------------------------------------------------


def memory(what: str) -> int:
    """A figure of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(x for x in lines if x.startswith(what)).split()[1]) * 1024


def forget_the_peak() -> int:
    """Sets the peak back to what is used now, which it returns."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmHWM")


def warm_up(path: str) -> None:
    """Loads what saving and loading need, so that only tensors count afterwards."""
    safetensors.torch.save_file({"x": torch.ones(1)}, path)
    with safe_open(path, "pt") as file:
        file.get_tensor("x")


@pytest.mark.slow
def test_a_large_table_needs_little_more_memory(fork_server: None, tmp_path: Path) -> None:
    """A table of 400 MiB is saved and loaded while the worker's peak grows by a few pieces only."""
    with rm.launch(workers=["one"]):
        table = rm.RemoteModule("one", Table, args=(400 * 1024,))
        rm.rpc_sync("one", warm_up, (str(tmp_path / "small"),))
        before = rm.rpc_sync("one", forget_the_peak)
        table.save(tmp_path / "w")
        saved = rm.rpc_sync("one", memory, ("VmHWM",)) - before
        on_owner(table, clear)
        before = rm.rpc_sync("one", forget_the_peak)
        table.load(tmp_path / "w")
        loaded = rm.rpc_sync("one", memory, ("VmHWM",)) - before
        assert float(table(400 * 1024 - 1).sum()) == 128
        assert (tmp_path / "w").stat().st_size > 400 * MIB
        assert saved < 16 * MIB
        assert loaded < 16 * MIB
    (tmp_path / "w").unlink()
