"""What runs again in backward runs as it did in forward, however often, and whatever came in between."""

from __future__ import annotations

import threading

import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.trained import Cubes, Noisy, gradients, local_gradients, seed, statistics
from tests.training.hybrids import assert_equal, on_owner


def pair() -> tuple[rm.RemoteModule, Noisy]:
    """A module with dropout and running statistics, and its twin that is here."""
    remote, local = rm.RemoteModule("ps0", Noisy, recompute=True), Noisy()
    local.load_state_dict(remote.state_dict())
    return remote, local


def started(module: nn.Module) -> tuple[Tensor, Tensor]:
    """An input and what comes of it, with the same random numbers here and there."""
    x = torch.linspace(-1, 1, 24).view(6, 4).requires_grad_()
    rm.rpc_sync("ps0", seed, (7,))
    seed(7)
    return x, module(x)


def gradients_on_owner(ref: rm.RemoteRef[nn.Module]) -> list[Tensor | None]:
    return gradients(ref)


def test_a_retained_graph_runs_again_each_time(cluster: rm.Cluster) -> None:
    """Two passes add up, as without recomputing, and statistics count one call."""
    found: list[Tensor | None] = []
    remote, local = pair()
    for module in (remote, local):
        x, result = started(module)
        total = result.square().sum()
        total.backward(retain_graph=True)
        total.backward()
        found.append(x.grad)
    assert_equal(found[0], found[1])
    assert_equal(on_owner(remote, gradients_on_owner), local_gradients(local))
    assert_equal(dict(remote.state_dict()), dict(local.state_dict()))


def test_gradients_of_gradients_run_again_too(cluster: rm.Cluster) -> None:
    """A penalty on the gradient has the local gradients."""
    remote, local = rm.RemoteModule("ps0", Cubes, recompute=True), Cubes()
    found = []
    for module in (remote, local):
        x = torch.linspace(-1.0, 1.0, 4).requires_grad_()
        (grad,) = torch.autograd.grad(module(x * 2), x, create_graph=True)
        grad.square().sum().backward()
        found.append([grad.detach(), x.grad])
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(on_owner(remote, gradients_on_owner), local_gradients(local))


def test_an_evaluation_in_between_changes_nothing(cluster: rm.Cluster) -> None:
    """The module runs again in the mode it had, and is left in the mode it has."""
    found: list[Tensor | None] = []
    remote, local = pair()
    for module in (remote, local):
        x, result = started(module)
        module.eval()
        module(x)
        result.square().sum().backward()
        found.append(x.grad)
        x, result = started(module)
        found.append(result.detach())  # still in evaluation mode
    assert_equal(found[:2], found[2:])


def test_passes_of_several_threads_leave_the_buffers_in_place(cluster: rm.Cluster) -> None:
    """Running statistics are those of the forwards, whoever comes out of backward last."""
    remote = rm.RemoteModule("ps0", Noisy, recompute=True)
    x = torch.linspace(-1, 1, 24).view(6, 4).requires_grad_()
    results = [remote(x).sum() for _ in range(40)]
    before = on_owner(remote, statistics)
    threads = [
        threading.Thread(target=lambda part=part: [each.backward() for each in part])
        for part in (results[:20], results[20:])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert_equal(on_owner(remote, statistics), before)
    remote(x)
    assert not torch.equal(
        next(iter(on_owner(remote, statistics).values())), next(iter(before.values()))
    )


class Powers(nn.Module):
    """Computes with a buffer that each forward changes, as spectral normalization does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))
        self.register_buffer("factor", torch.ones(4))
        self.register_buffer("fresh", torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.factor.mul_(2)
            self.fresh = self.fresh + 1
        result: Tensor = (x * self.weight * self.factor.clone() * self.fresh).tanh()
        return result


def test_a_module_runs_again_on_the_buffers_that_it_had(cluster: rm.Cluster) -> None:
    """What a forward computes from buffers that it changes, it computes again from what they were."""
    remote, local = rm.RemoteModule("ps0", Powers, recompute=True), Powers()
    found: list[Tensor | None] = []
    for module in (remote, local):
        x = torch.linspace(-0.5, 0.5, 4).requires_grad_()
        first, second = module(x), module(x)
        (first.sum() + 2 * second.sum()).backward()
        found.append(x.grad)
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(on_owner(remote, gradients_on_owner), local_gradients(local))
    assert_equal(dict(remote.state_dict()), dict(local.state_dict()))


def test_arguments_may_be_written_over_before_backward(cluster: rm.Cluster) -> None:
    """The module runs again on what it was given, also where memory is shared."""
    remote = rm.RemoteModule("ps0", nn.Linear, args=(64, 1), recompute=True)
    x = rm.empty((512, 64)).fill_(1.0)
    result = remote(x)
    x.fill_(7.0)
    result.sum().backward()
    grad = on_owner(remote, gradients_on_owner)[0]
    assert grad is not None
    assert torch.equal(grad, torch.full((1, 64), 512.0))
