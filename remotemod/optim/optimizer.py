"""One optimizer over parameters of this process and of workers; each owner steps its own shard."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from remotemod.optim import shard as on_owner
from remotemod.optim.gradients import unscale
from remotemod.optim.locations import LOCAL
from remotemod.optim.parameters import Group, read_groups
from remotemod.optim.shard import Recipe
from remotemod.optim.shards import NOT_SENT, Shards
from remotemod.optim.state import number_state, numbered, saved_groups, share_state
from remotemod.timeouts import resolve_timeout
from remotemod.torch_compat.modules import optimizer_hooks

__all__ = ["RemoteOptimizer"]


class RemoteOptimizer(Optimizer):
    """An optimizer whose parameters live anywhere; each owner steps its own, all at the same time.

    It is a ``torch.optim.Optimizer``: schedulers drive it, hooks run once, in this process, and its state has torch's
    format, with the parameters numbered as in a model that is all local. ``param_groups`` hold the
    hyperparameters and, under ``"params"``, the parameters of this process; what is changed there
    reaches the owners with the next step.

    Args:
        optimizer_cls: a class that derives from ``torch.optim.Optimizer``, built on each owner.
        params_or_modules: the parameters to optimize: a RemoteModule, an ``nn.Module`` with RemoteModules anywhere in
            it, a parameter, a reference from ``remote_parameters()``, an iterable of these, or a list of groups
            (dicts with such under ``"params"``, beside hyperparameters of the group's own).
        args: positional arguments for ``optimizer_cls``, behind the parameters.
        kwargs: keyword arguments for ``optimizer_cls``.

    Raises:
        TypeError: something in ``params_or_modules`` cannot be optimized, or the class is no optimizer.
        ValueError: there is nothing to optimize, a parameter is given twice, or the optimizer evaluates its
            closure several times.
        RemoteError: ``optimizer_cls`` raised on an owner; the exception is of the remote type too.
    """

    def __init__(
        self, optimizer_cls: type[Optimizer], params_or_modules: Any, *args: Any, **kwargs: Any
    ) -> None:
        if not (isinstance(optimizer_cls, type) and issubclass(optimizer_cls, Optimizer)):
            raise TypeError(
                f"optimizer_cls must be a class derived from torch.optim.Optimizer; got {optimizer_cls!r:.60}. "
                "Its arguments come behind the parameters: RemoteOptimizer(SGD, model, lr=0.1)"
            )
        self._cls = optimizer_cls
        self._shards = Shards(Recipe(optimizer_cls, args, kwargs))
        given = read_groups(params_or_modules, self._shards.locations)
        self._refuse_closure(given)
        groups = self._shards.place(given)
        if not self._shards:
            raise ValueError(
                "there is nothing to optimize: params_or_modules holds no parameters, here or on a worker"
            )
        # The base class's constructor takes local tensors; __setstate__ takes groups as they are.
        state = {"param_groups": groups, "state": self._shards.local_state}
        self.__setstate__({"defaults": self._shards.defaults, **state})

    @property
    def timeout(self) -> float | None:
        """Seconds that each owner may take for one request; None for its cluster's timeout, ``math.inf`` for none."""
        return self._shards.timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._shards.timeout = resolve_timeout(seconds)

    def _refuse_closure(self, groups: list[Group]) -> None:
        remote = any(entry.location is not LOCAL for group in groups for entry in group.entries)
        if remote and _needs_closure(self._cls):
            raise ValueError(
                f"{self._cls.__name__}.step evaluates its closure as often as it likes, which shards on several "
                "owners cannot do together; take an optimizer whose closure is optional (SGD, Adam, …)"
            )

    # --- training -----------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all shards, at the same time.

        Args:
            closure: evaluated once, in this process, with gradients enabled, before the step.

        Returns:
            What ``closure`` returns.

        Raises:
            WorkerLost: an owner is gone. As with every error, the others have been waited for, and a note on
                the error says which owners have stepped.
        """
        if closure is not None and not callable(closure):
            raise TypeError(
                f"step() takes a function that computes the loss, or nothing; got {closure!r:.60}. Gradients must be "
                "in the parameters' .grad: use loss.backward(), not torch's dist_autograd.backward()"
            )
        if closure is not None and _needs_closure(self._cls):
            local = self._shards.local_optimizer  # there is no other shard
            assert local is not None
            return local.step(closure)
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        pending = self._shards.pending(self.param_groups)
        self._shards.scatter(on_owner.step, "stepped", lambda location: (pending[location],))
        self._shards.acknowledge(pending)
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear all gradients, in this process and on the owners.

        Args:
            set_to_none: whether gradients become None, and not zeros.
        """
        self._shards.scatter(
            on_owner.zero_grad, "cleared their gradients", lambda _: (set_to_none,)
        )

    def unscale_(self, scale: float | Tensor) -> bool:
        """Divide all gradients by a loss scale, for mixed precision.

        Args:
            scale: the factor of the loss.

        Returns:
            Whether a gradient, in this process or on an owner, had an infinite or undefined value; then skip the step.
        """
        # As torch's GradScaler does: the reciprocal in double precision.
        factor = torch.as_tensor(scale, dtype=torch.float64).reciprocal().float().cpu()
        return any(
            self._shards.scatter(unscale, "unscaled their gradients", lambda _: (factor,)).values()
        )

    @property
    def _step_supports_amp_scaling(self) -> bool:
        # The first thing that a GradScaler asks of an optimizer to step.
        raise RuntimeError(
            "GradScaler looks at the gradients of this process alone, so it cannot step a RemoteOptimizer: write "
            "`(loss * scale).backward()` and `if not optimizer.unscale_(scale): optimizer.step()`"
        )

    # --- groups and state ---------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters.

        Args:
            param_group: as in the constructor's list of groups.
        """
        if not isinstance(param_group, dict):
            raise TypeError(
                f"param_group must be a dict with 'params'; got {type(param_group).__name__}"
            )
        (group,) = read_groups([param_group], self._shards.locations, "param_group")
        named = any("param_names" in present for present in self.param_groups)
        if group.entries and named is (group.names is None):
            raise ValueError(
                "the parameters of all groups must be given with names, or those of none"
            )
        self._refuse_closure([group])
        self.param_groups += self._shards.place([group])
        self.state = self._shards.local_state

    def state_dict(self) -> dict[str, Any]:
        """The state of all shards, as torch's optimizer has it over the same model in one process."""
        for before in optimizer_hooks(self, "state_dict_pre"):
            before(self)
        numbers_at = numbered(self._shards.layout)
        shards = self._shards.scatter(on_owner.state, "gave their state", lambda _: ())
        numbers = itertools.count()
        groups = [
            {
                **_without(("params",), group),
                "params": list(itertools.islice(numbers, len(locations))),
            }
            for group, locations in zip(self.param_groups, self._shards.layout, strict=True)
        ]
        state: dict[str, Any] = {"state": number_state(shards, numbers_at), "param_groups": groups}
        for after in optimizer_hooks(self, "state_dict_post"):
            changed = after(self, state)
            state = state if changed is None else changed
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a state of this or of a torch optimizer over the same parameters in the same groups.

        Args:
            state_dict: what ``state_dict()`` returned.

        Raises:
            ValueError: its groups are others than ours; then nothing was loaded.
        """
        state = dict(state_dict)
        for before in optimizer_hooks(self, "load_state_dict_pre"):
            changed = before(self, state)
            state = state if changed is None else changed
        groups = saved_groups(state["param_groups"], self._shards.layout)
        states = share_state(state["state"], groups, numbered(self._shards.layout), self._shards)
        options = {number: _without(("params",), group) for number, group in enumerate(groups)}
        plain = {number: _without(NOT_SENT, group) for number, group in enumerate(groups)}
        self._shards.scatter(
            on_owner.load,
            "loaded their state",
            lambda location: (states[location], options if location is LOCAL else plain),
        )
        self._shards.acknowledge_all(plain)
        for number, group in enumerate(self.param_groups):
            if self._shards.local_group(number) is None:
                names = {"param_names": group["param_names"]} if "param_names" in group else {}
                group.clear()
                group.update({"params": [], **names, **options[number]})
        self.state = self._shards.local_state
        for after in optimizer_hooks(self, "load_state_dict_post"):
            after(self)

    # --- the rest -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        lines = [f"RemoteOptimizer({self._cls.__name__}"]
        for location, numbers in numbered(self._shards.layout).items():
            lines.append(f"  {location!r}: {len(numbers)} parameter{'s' * (len(numbers) != 1)}")
        for number, group in enumerate(self.param_groups):
            options = ", ".join(f"{k}={v}" for k, v in group.items() if k not in NOT_SENT)
            lines.append(f"  group {number} ({len(self._shards.layout[number])}): {options}")
        return "\n".join([*lines, ")"])

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "a RemoteOptimizer cannot be copied, pickled or sent: its shards live with the parameters; save "
            "optimizer.state_dict(), and load it into a RemoteOptimizer that is built anew"
        )


def _needs_closure(cls: type[Optimizer]) -> bool:
    """Whether ``step`` wants its closure, because it evaluates it more than once (LBFGS)."""
    _, *parameters = inspect.signature(cls.step).parameters.values()
    return any(
        parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in parameters
    )


def _without(keys: Collection[str], group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key not in keys}
