"""The state of a remote module, from its handle: modes, weights, gradients."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import nn

from remotemod.handles import copying
from remotemod.owner import module_functions as on_owner
from remotemod.owner import weights as saving
from remotemod.torch_compat.modules import incompatible_keys, metadata_of
from remotemod.torch_compat.walks import metadata_of_load

__all__ = ["RemoteState"]

Self = TypeVar("Self", bound="RemoteState")


class RemoteState(nn.Module):
    """The half of a handle that reaches the module's state through functions on its owner."""

    def _on_owner(self, function: Callable[..., Any], *args: Any) -> Any:
        client: Any = self._client
        return client.invoke(function, (self.module_rref, *args))

    # --- modes, gradients, functions ----------------------------------------------------------

    def train(self: Self, mode: bool = True) -> Self:
        """Put the remote module into training (or evaluation) mode."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self._on_owner(on_owner.train, mode)
        self.training = mode
        return self

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Set ``requires_grad`` on the remote module's parameters."""
        self._on_owner(on_owner.requires_grad_, requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of the remote module's parameters."""
        self._on_owner(on_owner.zero_grad, set_to_none)

    def apply(self: Self, fn: Callable[[nn.Module], None]) -> Self:
        """Run ``fn`` on the owner, on each submodule of the remote module and on itself.

        Args:
            fn: is sent like the functions of ``rm.rpc_sync``: it changes nothing in this process.
        """
        self._on_owner(on_owner.apply, fn)
        return self

    # --- weights ------------------------------------------------------------------------------

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """Add the remote module's entries to a state; called by ``state_dict()`` of the handle or a parent."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        entries, versions = self._on_owner(on_owner.state_entries, prefix, keep_vars)
        destination.update(entries)
        metadata = metadata_of(destination)
        if metadata is not None:
            # Hooks get the handle's entry itself, which is the remote module's.
            metadata.setdefault(prefix[:-1], {}).update(versions.pop(prefix[:-1], {}))
            metadata.update(versions)

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
        """Load the remote module's entries; called by ``load_state_dict()`` of the handle or a parent."""
        client: Any = self._client
        # Runs the hooks. All keys are unexpected in a module without members: they are the remote one's.
        remote_keys: list[str] = []
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, True, missing_keys, remote_keys, error_msgs
        )
        keys = set(remote_keys)
        loaded = self._on_owner(
            on_owner.load_entries,
            on_owner.Loading(
                prefix,
                {key: value for key, value in state_dict.items() if key in keys},
                {k: v for k, v in metadata_of_load().items() if k.startswith(prefix)}
                | {prefix[:-1]: dict(local_metadata)},
                bool(local_metadata.get("assign_to_params_buffers", False)),
                copied=not client.cluster.capabilities.shares_memory,
                missing=missing_keys,
                unexpected=unexpected_keys + [key for key in remote_keys if key not in state_dict],
            ),
        )
        error_msgs += loaded.errors
        if strict:
            missing_keys[:], unexpected_keys[:] = loaded.missing, loaded.unexpected

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the remote module's weights to a safetensors file on its owner's machine.

        The owner writes tensors straight from their memory: nothing is sent, and a module that fills most of
        the machine can be saved. The file replaces an older one when it is whole. An interface
        method of this name wins: ``RemoteModule.save(handle, path)`` is this one.

        Args:
            path: a file on the owner's machine; a relative one counts from this process's working directory.

        Raises:
            ValueError: the state holds what such files cannot (sparse, quantized, extra state); the
                message names it.
            OSError: the file cannot be written; no part of it is left.
        """
        self._on_owner(saving.save, os.path.abspath(path))

    def load(self, path: str | os.PathLike[str], strict: bool = True) -> Any:
        """Read the remote module's weights from a safetensors file on its owner's machine.

        Values are copied into the present parameters and buffers, piece by piece, so optimizers
        stay valid and little memory is needed. All names, shapes and dtypes are checked before the first
        copy. Load hooks of the remote module do not run. An interface method of this name wins.

        Args:
            path: a file on the owner's machine; a relative one counts from this process's working directory.
            strict: whether names that are in one of file and module alone are an error.

        Returns:
            ``missing_keys`` and ``unexpected_keys``, as ``load_state_dict`` does.

        Raises:
            RuntimeError: names, shapes or dtypes do not fit; nothing was changed.
            ValueError: it is no safetensors file, or not a whole one.
            OSError: it cannot be read.
        """
        missing, unexpected = self._on_owner(saving.load, os.path.abspath(path), bool(strict))
        return incompatible_keys(missing, unexpected)

    # --- members: they live on the owner ------------------------------------------------------

    # Walks such as DistributedDataParallel's visit each module with recurse=False.

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Raise ValueError: the parameters live on the owner."""
        if recurse:
            raise _on_owner_alone("parameters", "remote_parameters")
        return super().parameters(recurse)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Raise ValueError: the parameters live on the owner."""
        if recurse:
            raise _on_owner_alone("named_parameters", "remote_parameters")
        return super().named_parameters(prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[torch.Tensor]:
        """Raise ValueError: the buffers live on the owner."""
        if recurse:
            raise _on_owner_alone("buffers", "state_dict")
        return super().buffers(recurse)

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Raise ValueError: the buffers live on the owner."""
        if recurse:
            raise _on_owner_alone("named_buffers", "state_dict")
        return super().named_buffers(prefix, recurse, remove_duplicate)

    # --- copies -------------------------------------------------------------------------------

    def __copy__(self: Self) -> Self:
        handle: Self = copying.another(self)
        return handle

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        handle: Self = copying.copied(self, memo)
        return handle


def _on_owner_alone(method: str, instead: str) -> ValueError:
    return ValueError(
        f"Method ``{method}`` not supported for RemoteModule. Please use ``{instead}`` instead."
    )
