"""What acts on the state of a remote module: modes, weights, gradients; nothing of it is here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from torch import nn

from remotemod.runtime import module_functions as on_owner

__all__ = ["RemoteState"]

Self = TypeVar("Self", bound="RemoteState")


class RemoteState(nn.Module):
    """The part of a handle that reaches the module's state through functions on its owner."""

    def _on_owner(self, function: Callable[..., Any], *args: Any) -> Any:
        binding: Any = self._binding
        return binding.invoke(function, (self.module_rref, *args))

    def train(self: Self, mode: bool = True) -> Self:
        """Puts the remote module into training (or evaluation) mode."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self._on_owner(on_owner.train, mode)
        self.training = mode
        return self

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Sets ``requires_grad`` on the remote module's parameters."""
        self._on_owner(on_owner.requires_grad_, requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of the remote module's parameters."""
        self._on_owner(on_owner.zero_grad, set_to_none)

    def state_dict(  # type: ignore[override]  # torch still takes these by position as well
        self, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """The remote module's state; tensors travel, the module does not.

        Takes ``destination``, ``prefix`` and ``keep_vars`` as every module does, so that a parent's
        ``state_dict()`` holds the entries of its remote children.
        """
        destination, prefix, _ = _state_dict_arguments(args, kwargs)
        state = self._on_owner(on_owner.state_dict)
        for key, value in state.items():
            destination[prefix + key] = value
        return destination

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Loads a state into the remote module; see ``nn.Module.load_state_dict``."""
        return self._on_owner(on_owner.load_state_dict, dict(state_dict), strict, assign)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """How a parent's ``load_state_dict`` reaches its remote children."""
        mine = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
        assign = bool(local_metadata.get("assign_to_params_buffers", False))
        try:
            keys = self._on_owner(on_owner.load_state_dict, mine, False, assign)
        except RuntimeError as error:
            error_msgs.append(str(error))
            return
        missing_keys += [prefix + key for key in keys.missing_keys]
        # The parent sees this module as one without children, and names nothing below it itself.
        unexpected_keys += [prefix + key for key in keys.unexpected_keys if strict]

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Not here: the parameters live on the owner."""
        raise ValueError(
            "Method ``parameters`` not supported for RemoteModule. "
            "Please use ``remote_parameters`` instead."
        )


def _state_dict_arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, Any], str, bool]:
    names = ("destination", "prefix", "keep_vars")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    destination = given.get("destination")
    return (
        {} if destination is None else destination,
        given.get("prefix", ""),
        given.get("keep_vars", False),
    )
