"""The state of a model with remote children is that of its local twin: keys, order, types, versions, errors."""

from __future__ import annotations

import os
import signal
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.helpers import assert_same
from tests.runtime.parents import Block, Extra, Mixed, Renaming, Tied, on_owner, twins


def changed(state: Any, changes: dict[str, Any]) -> Any:
    """A copy of a state, its versions with it, in which some keys are others; None stands for none."""
    other = OrderedDict({**state, **changes})
    for key in [key for key, value in other.items() if value is None]:
        del other[key]
    other._metadata = {key: dict(value) for key, value in state._metadata.items()}  # type: ignore[attr-defined]
    return other


def outcome(model: nn.Module, state: Any, **how: Any) -> Any:
    try:
        return model.load_state_dict(state, **how)
    except RuntimeError as error:
        return str(error)


def test_a_parents_state_is_its_local_twins(cluster: rm.Cluster) -> None:
    """Values, keys in their order, the dict's type and the versions are equal."""
    remote, local = twins(cluster)
    found, expected = remote.state_dict(), local.state_dict()
    assert type(found) is OrderedDict
    assert_same(found, expected)
    assert list(found._metadata.items()) == list(expected._metadata.items())  # type: ignore[attr-defined]


def test_states_load_either_way(cluster: rm.Cluster) -> None:
    """The remote model takes the local one's state and the other way round."""
    remote, local = twins(cluster)
    state = {
        k: v + 1 if isinstance(v, Tensor) else {"said": "hello"}
        for k, v in local.state_dict().items()
    }
    assert remote.load_state_dict(state) == ([], [])
    assert remote.parts[2]() == "hello"
    assert local.load_state_dict(remote.state_dict()) == ([], [])
    assert_same(dict(local.state_dict()), state)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {"boxes.a.0.inner.0.bias": None},
        {"boxes.a.0.inner.9.bias": torch.ones(1), "boxes.a.0.other": torch.ones(1)},
        {"boxes.a.0.first.weight": torch.ones(7), "parts.0.table.weight": torch.ones(1)},
        {"boxes.a.0.first.weight": "no tensor"},
        {"boxes.a.0.norm.num_batches_tracked": None},
        {"boxes.a.0._extra_state": 1, "parts.2._extra_state": None},
        {"before.bias": None, "renaming.renamed": None, "script.0.bias": None, "more": 1},
        {"empty.weight": torch.ones(1), "boxes.a.0.nothing": torch.ones(1)},
    ],
)
def test_what_does_not_fit_is_told_as_a_local_model_tells_it(
    cluster: rm.Cluster, changes: dict[str, Any], strict: bool
) -> None:
    """Missing and unexpected keys and errors have the full names, in the same order and words."""
    remote, local = twins(cluster)
    state = local.state_dict()
    expected = outcome(local, changed(state, changes), strict=strict)
    assert outcome(remote, changed(state, changes), strict=strict) == expected


def test_a_handle_tells_all_that_does_not_fit(cluster: rm.Cluster) -> None:
    """The handle's own load_state_dict reports missing, unexpected and misfit keys in one error."""
    remote, local = rm.RemoteModule("one", nn.Linear, args=(2, 3), cluster=cluster), nn.Linear(2, 3)
    state = {"weight": torch.ones(1), "more": torch.ones(1)}
    found, expected = outcome(remote, state), outcome(local, state)
    assert found == expected.replace("for Linear", "for RemoteLinear")
    assert 'Missing key(s) in state_dict: "bias"' in found


def test_versions_count_when_a_state_is_loaded(cluster: rm.Cluster) -> None:
    """A BatchNorm below the remote module misses its counter in a new state, and not in an old one."""
    handle = rm.RemoteModule("one", Block, cluster=cluster)
    parent = nn.Sequential(handle)
    state = parent.state_dict()
    new = changed(state, {"0.inner.2.num_batches_tracked": None})
    assert parent.load_state_dict(new, strict=False).missing_keys == [
        "0.inner.2.num_batches_tracked"
    ]
    new._metadata["0.inner.2"]["version"] = 1
    assert parent.load_state_dict(new).missing_keys == []


def test_assigned_tensors_become_the_owners_parameters(cluster: rm.Cluster) -> None:
    """With assign=True the owner's parameters are new objects of the state's dtype."""
    remote, local = twins(cluster)
    before = on_owner(remote.boxes["a"][0], lambda m: id(m.inner[0].weight))
    state = {
        k: v.double() if isinstance(v, Tensor) and v.is_floating_point() else v
        for k, v in local.state_dict().items()
    }
    del state["script.0.weight"]  # TorchScript keeps its parameters
    remote.load_state_dict(state, assign=True, strict=False)
    weight = on_owner(remote.boxes["a"][0], lambda m: (id(m.inner[0].weight), m.inner[0].weight))
    assert weight[0] != before
    assert weight[1].dtype is torch.float64
    assert on_owner(remote.boxes["a"][0], lambda m: type(m.inner[0].weight)) is nn.Parameter
    assert on_owner(remote.boxes["a"][0], lambda m: m.inner[0].weight.requires_grad)
    assert remote.state_dict()["boxes.a.0.steps"].dtype is torch.int32


def test_loading_without_assign_keeps_the_parameters(cluster: rm.Cluster) -> None:
    """Values are copied into what is there, so optimizers stay valid; tied weights stay tied."""
    handle = rm.RemoteModule("two", Tied, cluster=cluster)
    before = on_owner(handle, lambda m: id(m.table.weight))
    state = handle.state_dict()
    handle.load_state_dict({key: value.half() * 0 for key, value in state.items()})
    assert on_owner(handle, lambda m: id(m.out.weight)) == before
    assert handle.state_dict()["out.weight"].dtype is torch.float32
    assert not handle.state_dict()["table.weight"].any()


def test_keep_vars_gives_parameters(cluster: rm.Cluster) -> None:
    """With keep_vars=True parameters arrive as such; a destination and a prefix are honoured."""
    handle = rm.RemoteModule("one", nn.BatchNorm1d, args=(2,), cluster=cluster)
    state = handle.state_dict(keep_vars=True)
    assert type(state["weight"]) is nn.Parameter
    assert state["weight"].requires_grad
    assert not handle.state_dict()["weight"].requires_grad
    mine: dict[str, Any] = {"mine": 1}
    assert handle.state_dict(destination=mine, prefix="a.") is mine
    assert list(mine)[:2] == ["mine", "a.weight"]


def test_state_hooks_on_the_handle_run_here(cluster: rm.Cluster) -> None:
    """All four kinds of hooks see what a local module's do; those of the remote module run there."""
    handle = rm.RemoteModule("one", Renaming, cluster=cluster)
    parent, seen = nn.ModuleDict({"r": handle}), []
    handle.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append((prefix, keep)))
    handle.register_state_dict_post_hook(lambda m, state, prefix, meta: seen.append(dict(meta)))
    handle.register_load_state_dict_pre_hook(lambda m, state, prefix, *_: state.update(seen=1))
    handle.register_load_state_dict_post_hook(lambda m, keys: seen.append(keys.unexpected_keys[:]))
    state = parent.state_dict()
    assert list(state) == ["r.renamed"]
    assert seen == [("r.", False), {"version": 1, "seen": "r."}]
    assert parent.load_state_dict(state) == ([], [])
    parent.load_state_dict({"r.odd": torch.ones(1)}, strict=False)
    assert seen[2:] == [[], ["r.odd"]]


def test_a_lazy_module_is_saved_and_loaded(cluster: rm.Cluster) -> None:
    """Uninitialized parameters are saved as such, and take their shape from what is loaded."""
    handle = rm.RemoteModule("one", nn.LazyLinear, args=(3,), cluster=cluster)
    assert nn.parameter.is_lazy(handle.state_dict()["weight"])
    local = nn.Linear(2, 3)
    handle.load_state_dict(local.state_dict())
    with torch.no_grad():
        assert torch.equal(handle(torch.ones(1, 2)), local(torch.ones(1, 2)))


def test_bfloat16_keeps_its_bits(cluster: rm.Cluster) -> None:
    """A bfloat16 state is the same after the way there and back."""
    handle = rm.RemoteModule(
        "one", nn.Linear, args=(3, 3), kwargs={"dtype": torch.bfloat16}, cluster=cluster
    )
    state = nn.Linear(3, 3, dtype=torch.bfloat16).state_dict()
    handle.load_state_dict(state)
    assert_same(handle.state_dict(), state)


class Outer(nn.Module):
    """Holds a remote module of its own, on another worker."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = nn.Linear(1, 1)
        self.deep = rm.RemoteModule("two", Block)

    def forward(self) -> None: ...


def test_a_remote_module_may_hold_remote_modules() -> None:
    """Two borders deep, keys and versions are those of a local model."""
    with rm.launch(workers=["one", "two"], backend="inproc"):
        remote = nn.ModuleDict({"outer": rm.RemoteModule("one", Outer)})
        local = nn.ModuleDict({"outer": nn.ModuleDict({"mine": nn.Linear(1, 1), "deep": Block()})})
        state = local.state_dict()
        assert remote.load_state_dict(state) == ([], [])
        assert_same(remote.state_dict(), state)
        assert remote.state_dict()._metadata == state._metadata  # type: ignore[attr-defined]
        new = changed(state, {"outer.deep.norm.num_batches_tracked": None})
        assert outcome(remote, new) == outcome(local, new)


def test_torch_saves_a_parents_state(cluster: rm.Cluster, tmp_path: Path) -> None:
    """The safe loader of torch takes the file, versions included."""
    remote, local = twins(cluster)
    torch.save(remote.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state._metadata == local.state_dict()._metadata  # type: ignore[attr-defined]
    assert local.load_state_dict(state) == ([], [])


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")  # torch's own, before 2.11
def test_a_distributed_checkpoint_of_one_process(cluster: rm.Cluster, tmp_path: Path) -> None:
    """torch.distributed.checkpoint saves a parent's state and loads it in place, without a group."""
    import torch.distributed.checkpoint as dcp

    parent = nn.Sequential(nn.Linear(2, 2), rm.RemoteModule("one", Block, cluster=cluster))
    saved = parent.state_dict()
    saved = {key: value.clone() for key, value in saved.items()}
    dcp.save({"model": parent.state_dict()}, checkpoint_id=str(tmp_path / "point"))
    parent.load_state_dict({key: value * 0 for key, value in saved.items()})
    state = {"model": parent.state_dict()}
    dcp.load(state, checkpoint_id=str(tmp_path / "point"))
    parent.load_state_dict(state["model"])
    assert_same(dict(parent.state_dict()), saved)


def test_a_lost_owner_is_told(fork_server: None) -> None:
    """Saving and loading a parent with a dead worker fails with WorkerLost and does not hang."""
    with rm.launch(workers=["one", "two"]) as cluster:
        parent = Mixed(lambda worker, cls: rm.RemoteModule(worker, cls))
        state = parent.state_dict()
        with pytest.raises(rm.WorkerLost):
            rm.rpc_sync("two", os.kill, (cluster_pid("two"), signal.SIGKILL))
        with pytest.raises(rm.WorkerLost):
            parent.state_dict()
        with pytest.raises(rm.WorkerLost):
            parent.load_state_dict(state)
        assert cluster.ping("one") > 0


def cluster_pid(worker: str) -> int:
    return rm.rpc_sync(worker, os.getpid)


def test_a_subclass_may_have_weights_of_its_own(cluster: rm.Cluster) -> None:
    """What a user's subclass registers here is saved and loaded beside the remote weights."""
    handle = Scaled("one", nn.Linear, args=(2, 2), cluster=cluster)
    state = handle.state_dict()
    assert list(state) == ["scale", "weight", "bias"]
    handle.load_state_dict({key: value * 0 + 3 for key, value in state.items()})
    assert handle.scale.item() == 3
    assert handle.load_state_dict({"weight": torch.ones(2, 2)}, strict=False).missing_keys == [
        "scale",
        "bias",
    ]


class Scaled(rm.RemoteModule):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scale = nn.Parameter(torch.ones(()))


def test_extra_state_travels(cluster: rm.Cluster) -> None:
    """What get_extra_state gives is in the state, and set_extra_state gets it back."""
    handle = rm.RemoteModule("one", Extra, cluster=cluster)
    handle.say("kept")
    state = handle.state_dict()
    handle.say("other")
    handle.load_state_dict(state)
    assert handle() == "kept"
