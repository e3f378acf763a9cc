"""One forward and backward of a case, here or through a remote module, and all that came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as trees

import remotemod as rm
from tests.training.case import Case

__all__ = ["Step", "Way", "seed_generator", "step_here", "step_remotely"]

BUILD, INPUT, FORWARD, BACKWARD = range(4)  # the seeds


class Step(NamedTuple):
    """What one step gave.

    Attributes:
        outputs: what ``forward`` returned.
        input_gradients: of each input that requires grad.
        gradients: of each parameter, by name.
        state: the module's parameters and buffers afterwards.
        next_random: what the generator of the module's process gives next.
    """

    outputs: Any
    input_gradients: list[Tensor | None]
    gradients: dict[str, Tensor | None]
    state: dict[str, Tensor]
    next_random: Tensor


class Way(NamedTuple):
    """How a step is done.

    Attributes:
        leaves: whether the inputs are leaves; otherwise something was computed before.
        only: the output that backward begins at; None for all of them.
        call: runs the module.
    """

    leaves: bool = False
    only: int | None = None
    call: Callable[..., Any] = lambda module, *args, **kwargs: module(*args, **kwargs)


def step_here(case: Case, way: Way) -> Step:
    """The case's step in this process."""
    torch.manual_seed(BUILD)
    module = case.factory(*case.args, **case.kwargs).train(case.mode)
    outputs, gradients = _step(case, module, torch.manual_seed, way)
    return Step(outputs, gradients, *_left_behind(module))


def step_remotely(case: Case, worker: str, way: Way, options: dict[str, Any]) -> Step:
    """The case's step with the module on a worker.

    Args:
        case: the row of the table.
        worker: where the module goes.
        way: how the step is done.
        options: of the remote module.
    """
    seed = lambda number: rm.rpc_sync(worker, seed_generator, (number,))
    seed(BUILD)
    remote = rm.RemoteModule(worker, case.factory, case.args, case.kwargs, **options)
    remote.train(case.mode)
    outputs, gradients = _step(case, remote, seed, way)
    return Step(outputs, gradients, *rm.rpc_sync(worker, _left_by, (remote.get_module_rref(),)))


def _step(
    case: Case, module: nn.Module, seed: Callable[[int], object], way: Way
) -> tuple[Any, list[Tensor | None]]:
    torch.manual_seed(INPUT)
    given = Inputs(way.leaves)
    args, kwargs = trees.tree_map_only(Tensor, given.take, (case.inputs(), case.named()))
    seed(FORWARD)
    outputs = way.call(module, *args, **kwargs)
    ends = [t for t in trees.tree_leaves(outputs) if isinstance(t, Tensor) and t.requires_grad]
    assert ends, "nothing to go back from"
    generator = torch.Generator().manual_seed(BACKWARD)
    grads = [torch.randn(t.shape, dtype=t.dtype, generator=generator) for t in ends]
    if way.only is None:
        torch.autograd.backward(ends, grads)
    else:
        ends[way.only].backward(grads[way.only])
    return outputs, [leaf.grad for leaf in given.leaves]


class Inputs:
    """Turns inputs into what ``forward`` gets, and keeps the leaves below them."""

    def __init__(self, direct: bool) -> None:
        self.leaves: list[Tensor] = []
        self._direct = direct
        self._taken: dict[int, tuple[Tensor, Tensor]] = {}

    def take(self, tensor: Tensor) -> Tensor:
        """The leaf made of a tensor, or what was computed from it; one tensor given twice stays one."""
        if not tensor.requires_grad:
            return tensor
        if id(tensor) not in self._taken:
            leaf = tensor.detach().requires_grad_()
            self.leaves.append(leaf)
            # The key lives as long as its entry, so that no other tensor gets its id.
            self._taken[id(tensor)] = tensor, leaf if self._direct else leaf * 1
        return self._taken[id(tensor)][1]


def seed_generator(number: int) -> None:
    """Seeds a process's generator; torch's own function returns it, and it would have to travel."""
    torch.manual_seed(number)


def _left_by(
    ref: rm.RemoteRef[nn.Module],
) -> tuple[dict[str, Tensor | None], dict[str, Tensor], Tensor]:
    return _left_behind(ref.local_value())


def _left_behind(
    module: nn.Module,
) -> tuple[dict[str, Tensor | None], dict[str, Tensor], Tensor]:
    gradients = {name: p.grad for name, p in module.named_parameters()}
    return gradients, dict(module.state_dict()), torch.rand(3)
