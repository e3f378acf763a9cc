"""Training with a part on the device: the gradients, steps and norms of the model that is all there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.trained import Cubes
from tests.gpu import zoo
from tests.gpu.devices import HERE, assert_came_back, needs_values, only_on_cuda

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
"""The same kernels on the same device, but sums on it may be taken in another order."""


def batch(turn: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(turn)
    return torch.randn(8, 4, generator=generator), torch.randn(8, 4, generator=generator)


def pair(device: str) -> tuple[nn.Sequential, nn.Sequential]:
    """A model whose middle is on the device of another process, and its twin on that device."""
    middles = rm.RemoteModule(f"one/{device}", zoo.Tower), zoo.Tower().to(device)
    models = []
    for middle in middles:
        torch.manual_seed(5)
        first, last = nn.Linear(4, 4), nn.Linear(4, 4)
        models.append(nn.Sequential(first, middle, last))
    remote, local = models
    return remote, local


def forward(model: nn.Sequential, x: Tensor, device: str) -> Tensor:
    """The local model's middle is on the device, its ends are not."""
    first, middle, last = model
    x = first(x)
    x = middle(x) if isinstance(middle, rm.RemoteModule) else middle(x.to(device)).cpu()
    return last(x)


def loss_of(model: nn.Sequential, turn: int, device: str) -> Tensor:
    x, y = batch(turn)
    return nn.functional.mse_loss(forward(model, x, device), y)


def remote_gradients(model: nn.Sequential) -> list[Tensor]:
    found: list[Tensor] = rm.rpc_sync("one", zoo.gradients, (model[1].module_rref,))
    return found


def assert_close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, **CLOSE)


def on_cpu(values: Any) -> list[Tensor]:
    return [value.cpu() for value in values]


@needs_values
def test_gradients_cross_the_border(workers: rm.Cluster, device: str) -> None:
    """Inputs, the ends here and the parameters there get the gradients of the model in one process."""
    remote, local = pair(device)
    found = []
    for model in (remote, local):
        x = batch()[0].requires_grad_()
        forward(model, x, device).square().sum().backward()
        found.append([x.grad, *(p.grad for end in (model[0], model[2]) for p in end.parameters())])
    assert_close(found[0], found[1])
    assert_close(remote_gradients(remote), on_cpu(p.grad for p in local[1].parameters()))


def test_parameters_and_their_gradients_stay_on_the_device(
    workers: rm.Cluster, device: str
) -> None:
    """The owner's parameters, gradients and buffers are on its device; what comes here is not."""
    remote = rm.RemoteModule(f"one/{device}", zoo.Tower)
    x = batch()[0].requires_grad_(HERE == "cpu")  # nothing comes back from meta, gradients neither
    remote(x).sum().backward()
    assert HERE == "meta" or x.grad.device.type == "cpu"
    where = rm.rpc_sync("one", zoo.devices_of_parameters, (remote.module_rref,))
    assert where == [(device, device)] * 6
    assert {value.device.type for value in remote.state_dict().values()} == {HERE}


@needs_values
def test_gradients_of_what_is_inside_of_containers(workers: rm.Cluster, device: str) -> None:
    """Arguments in a dict, results in one: the gradient finds its way through both."""
    remote, local = rm.RemoteModule(f"one/{device}", zoo.Results), zoo.Results().to(device)
    found = []
    for module in (remote, local):
        a, b = torch.ones(4, requires_grad=True), torch.full((4,), 2.0, requires_grad=True)
        given = {"a": a, "b": b}
        if module is local:
            given = {key: value.to(device) for key, value in given.items()}
        result = module.table(given)
        (result["a"] * result["b"]).sum().backward()
        found.append([a.grad, b.grad])
    assert_close(found[0], found[1])


@needs_values
def test_gradients_of_what_no_stub_has_moved(workers: rm.Cluster, device: str) -> None:
    """Results of functions, and tensors inside of plain objects, take gradients from a caller on the CPU."""
    x = torch.ones(4, requires_grad=True)
    result = rm.rpc_sync("one", zoo.scaled, (x, device))
    assert result.device.type == "cpu"
    result.square().sum().backward()
    assert torch.equal(x.grad, torch.full((4,), 18.0))
    remote, x.grad = rm.RemoteModule(f"one/{device}", zoo.Selfmade), None
    inside = remote(x).inside
    assert inside.device.type == "cpu"
    (first,) = torch.autograd.grad(inside.square().sum(), x, create_graph=True)
    first.sum().backward()
    weight = torch.linspace(1.0, 2.0, 4)
    assert_close(first.detach(), 2 * weight.square())
    assert_close(x.grad, 2 * weight.square())


@needs_values
def test_second_derivatives(workers: rm.Cluster, device: str) -> None:
    """The gradient of a gradient crosses the border twice."""
    found = []
    for module in (rm.RemoteModule(f"one/{device}", Cubes), Cubes().to(device)):
        x = torch.linspace(-1.0, 1.0, 4).requires_grad_()
        result = module(x) if isinstance(module, rm.RemoteModule) else module(x.to(device)).cpu()
        (grad,) = torch.autograd.grad(result, x, create_graph=True)
        grad.square().sum().backward()
        found.append([grad.detach(), x.grad])
    assert_close(found[0], found[1])


@needs_values
def test_a_part_of_a_model_on_the_callers_gpu(workers: rm.Cluster, device: str) -> None:
    """Between two layers on this process's own device, backwards through its engine's device threads."""
    torch.manual_seed(1)
    first, last = nn.Linear(4, 4).to(device), nn.Linear(4, 4).to(device)
    remote, local = rm.RemoteModule(f"one/{device}", zoo.Tower), zoo.Tower().to(device)
    found = []
    for middle in (remote, local):
        x = batch()[0].to(device).requires_grad_()
        middle_out = middle(first(x)).to(device)
        last(middle_out).square().sum().backward()
        found.append([x.grad.cpu(), *on_cpu(p.grad for p in first.parameters())])
        for end in (first, last):
            end.zero_grad()
    assert_close(found[0], found[1])


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW fused", "Adagrad"])
@needs_values
def test_an_optimizer_steps_on_the_device(workers: rm.Cluster, device: str, name: str) -> None:
    """Five steps of one optimizer over both parts leave the weights and the state of the local model."""
    cls, options = {
        "SGD": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        "Adam": (torch.optim.Adam, {"lr": 0.05}),
        "AdamW fused": (torch.optim.AdamW, {"lr": 0.05, "fused": True}),
        "Adagrad": (torch.optim.Adagrad, {"lr": 0.1}),
    }[name]
    remote, local = pair(device)
    ours = rm.RemoteOptimizer(cls, remote, **options)
    theirs = cls(local.parameters(), **options)
    for turn in range(5):
        losses = []
        for model, optimizer in ((remote, ours), (local, theirs)):
            optimizer.zero_grad()
            loss = loss_of(model, turn, device)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        assert_close(*losses)
    assert_close(dict(remote.state_dict()), {k: v.cpu() for k, v in local.state_dict().items()})
    state, expected = ours.state_dict()["state"], theirs.state_dict()["state"]
    assert list(state) == list(expected)
    for number, values in expected.items():
        for key, value in values.items():
            found = state[number][key]
            assert_close(torch.as_tensor(found), torch.as_tensor(value).cpu())
            assert not isinstance(found, Tensor) or found.device.type == "cpu"
    where = rm.rpc_sync("one", zoo.devices_of_parameters, (remote[1].module_rref,))
    assert {parameter for parameter, _ in where} == {device}


@needs_values
def test_an_optimizers_state_is_loaded_onto_the_device(workers: rm.Cluster, device: str) -> None:
    """A state that was saved here goes on there, as in the model that was not interrupted."""

    def steps(model: nn.Sequential, optimizer: Any, turns: range) -> None:
        for turn in turns:
            optimizer.zero_grad()
            loss_of(model, turn, device).backward()
            optimizer.step()

    (one, _), (other, _) = pair(device), pair(device)
    first = rm.RemoteOptimizer(torch.optim.Adam, one, lr=0.05)
    steps(one, first, range(3))
    other.load_state_dict(one.state_dict())
    second = rm.RemoteOptimizer(torch.optim.Adam, other, lr=0.05)
    second.load_state_dict(first.state_dict())
    for model, optimizer in ((one, first), (other, second)):
        steps(model, optimizer, range(3, 6))
    assert_close(dict(one.state_dict()), dict(other.state_dict()))


@needs_values
def test_norms_and_scales_are_taken_on_the_device(workers: rm.Cluster, device: str) -> None:
    """Clipping and unscaling see all gradients, and reach those on the device."""
    remote, local = pair(device)
    optimizer = rm.RemoteOptimizer(torch.optim.SGD, remote, lr=0.1)
    for model in (remote, local):
        (loss_of(model, 0, device) * 1024).backward()
    assert not optimizer.unscale_(1024.0)
    for parameter in local.parameters():
        parameter.grad /= 1024
    norm = rm.clip_grad_norm_(remote, 0.01)
    norms = torch.stack([p.grad.norm().cpu() for p in local.parameters()])
    assert_close(norm, norms.norm())
    expected = [p.grad.cpu() * (0.01 / (norms.norm() + 1e-6)) for p in local[1].parameters()]
    assert_close(remote_gradients(remote), expected)


@needs_values
def test_recomputing_draws_the_same_masks_on_the_device(workers: rm.Cluster, device: str) -> None:
    """With ``recompute=True`` dropout's masks in backward are those of forward."""
    remote = rm.RemoteModule(f"one/{device}", zoo.Noisy, recompute=True)
    for _ in range(3):
        x = torch.ones(64, requires_grad=True)
        result = remote(x)
        result.sum().backward()
        assert 0 < int((result == 0).sum()) < 64
        assert torch.equal(x.grad, result.detach())  # the weight is 1: both are the scaled mask


@needs_values
def test_sparse_gradients_stay_sparse(workers: rm.Cluster, device: str) -> None:
    """An embedding table on the device learns by sparse gradients, as the local one does."""
    torch.manual_seed(2)
    local = nn.EmbeddingBag(20, 4, sparse=True, mode="sum")
    remote = rm.RemoteModule(
        f"one/{device}", nn.EmbeddingBag, args=(20, 4), kwargs={"sparse": True, "mode": "sum"}
    )
    remote.load_state_dict(local.state_dict())
    local.to(device)
    words = torch.tensor([[1, 2, 2], [5, 1, 19]])
    ours = rm.RemoteOptimizer(torch.optim.SGD, remote, lr=0.5)
    theirs = torch.optim.SGD(local.parameters(), lr=0.5)
    for module, optimizer in ((remote, ours), (local, theirs)):
        given = words.to(device) if module is local else words
        module(given).square().sum().backward()
        optimizer.step()
    (gradient,) = rm.rpc_sync("one", zoo.gradients, (remote.module_rref,))
    assert gradient.is_sparse
    assert_close(remote.state_dict()["weight"], local.weight.detach().cpu())


def test_the_other_worker_trains_on_the_device_too(workers: rm.Cluster, device: str) -> None:
    """A step can be taken on the other worker too, also where tensors have no data."""
    remote = rm.RemoteModule(f"two/{device}", zoo.Tower)
    optimizer = rm.RemoteOptimizer(torch.optim.SGD, remote, lr=0.1, momentum=0.9)
    result = remote(batch()[0])
    assert result.device.type == HERE
    result.sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    where = rm.rpc_sync("two", zoo.devices_of_parameters, (remote.module_rref,))
    assert where == [(device, None)] * 6


@only_on_cuda("what is queued elsewhere has been done when the call returns")
def test_results_wait_for_work_that_is_still_queued(workers: rm.Cluster, device: str) -> None:
    """A function leaves work on the device; the next call's result comes after it."""
    remote = rm.RemoteModule(f"one/{device}", zoo.Results)
    x = torch.ones(2, 4)
    with torch.no_grad():
        before = remote(x)
        rm.rpc_sync("one", zoo.fill_slowly, (remote.module_rref, 2000))
        assert not torch.equal(remote(x), before)
        assert_came_back(remote(x), torch.ones(2, 4))
