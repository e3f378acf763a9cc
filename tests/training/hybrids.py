"""Models with remote parts, their twins that are all here, and gradients for both."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import remotemod as rm


class Model(nn.Module):
    """A parameter of its own, then three layers; ``parameters()`` gives them in this order."""

    def __init__(self, first: nn.Module, middle: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 4))
        self.first = first
        self.middle = nn.ModuleDict({"inner": middle})
        self.last = last

    def layers(self) -> list[nn.Module]:
        return [self.first, self.middle["inner"], self.last]


def linear(seed: int) -> nn.Linear:
    """A layer with weights of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(4, 4)


def bag(seed: int) -> nn.EmbeddingBag:
    """A table whose gradients are sparse."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.EmbeddingBag(20, 4, sparse=True, mode="sum")


def pair(make: Any = linear) -> tuple[Model, Model]:
    """A model with its first and last layer on workers, and its twin that is all here."""
    remote = [rm.RemoteModule(on, make, args=(seed,)) for on, seed in (("ps0", 1), ("ps1", 3))]
    return Model(remote[0], make(2), remote[1]), Model(make(1), make(2), make(3))


def on_owner(layer: rm.RemoteModule, function: Any, *args: Any) -> Any:
    """What a function of a module's reference returns, run where the module is."""
    ref = layer.module_rref
    if ref.is_owner():
        return function(ref, *args)
    return rm.rpc_sync(layer.on, function, (ref, *args))


def owner_backward(ref: Any, x: Tensor) -> None:
    backward(ref.local_value(), x)


def backward(module: nn.Module, x: Tensor) -> None:
    """Adds to the gradients of a module, which is all here."""
    with torch.enable_grad():
        module(x).square().sum().backward()


def give_gradients(model: Model, turn: int) -> None:
    """Adds to the gradients of every parameter, wherever it is; the same for a model and its twin."""
    generator = torch.Generator().manual_seed(turn)
    scale = torch.randn(4, generator=generator)
    model.scale.grad = scale if model.scale.grad is None else model.scale.grad + scale
    for layer in model.layers():
        x = torch.randn(3, 4, generator=generator)
        if len(layer.state_dict()) == 1:  # a table
            x = torch.randint(0, 20, (3, 5), generator=generator)
        if isinstance(layer, rm.RemoteModule):
            on_owner(layer, owner_backward, x)
        else:
            backward(layer, x)


def gradients_on_owner(ref: Any) -> list[Tensor | None]:
    return gradients_of(ref.local_value())


def gradients_of(module: nn.Module) -> list[Tensor | None]:
    found = [None if p.grad is None else p.grad.detach().clone() for p in module.parameters()]
    return [None if g is None else g.to_dense() if g.is_sparse else g for g in found]


def gradients(model: Model) -> list[Tensor | None]:
    """All gradients, dense, in order."""
    found = [model.scale.grad]
    for layer in model.layers():
        if isinstance(layer, rm.RemoteModule):
            found += on_owner(layer, gradients_on_owner)
        else:
            found += gradients_of(layer)
    return found


def weights(model: Model) -> list[Tensor]:
    """All parameters, in order."""
    found = [model.scale.detach()]
    for layer in model.layers():
        found += layer.state_dict().values()
    return [weight.clone() for weight in found]


def assert_equal(some: Any, others: Any) -> None:
    """Equal to the last bit, with the same types and keys."""
    if isinstance(some, Tensor):
        assert isinstance(others, Tensor)
        assert some.dtype == others.dtype
        assert torch.equal(some, others)
    elif isinstance(some, dict):
        assert some.keys() == others.keys()
        for key, value in some.items():
            assert_equal(value, others[key])
    elif isinstance(some, (list, tuple)):
        assert len(some) == len(others)
        for one, other in zip(some, others, strict=True):
            assert_equal(one, other)
    else:
        assert some == others


def train(model: Model, optimizer: torch.optim.Optimizer, turns: range) -> None:
    """A step for each turn."""
    for turn in turns:
        optimizer.zero_grad()
        give_gradients(model, turn)
        optimizer.step()
