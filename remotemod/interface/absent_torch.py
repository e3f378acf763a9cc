"""What the source reader knows of torch where torch is not installed, so that it reads there what it reads elsewhere, or says that it cannot."""

from __future__ import annotations

from collections.abc import Sequence

from remotemod.errors import InterfaceError
from remotemod.interface.types import Symbol

__all__ = ["MODULE_METHODS", "NeedsTorch", "is_torchs", "known", "may_be_module", "needs_torch"]


def _words(text: str, before: str = "") -> frozenset[str]:
    return frozenset(before + word for word in text.split())


MODULE_METHODS = _words(
    """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia
    named_buffers named_children named_modules named_parameters parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory
    state_dict to to_empty train type xpu zero_grad
    """
)
"""What nn.Module itself has in public."""

_AS_WRITTEN = _words(
    """
    Tensor device dtype layout memory_format qscheme Size Generator Stream Event SymInt SymFloat SymBool finfo iinfo
    BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor LongTensor ShortTensor
    jit.interface futures.Future jit.Future Future
    """,
    before="torch.",
)
"""What has the same name in torch's own source, or none there because it is compiled."""

_DEFINED_AS = {
    "torch.nn.Module": ("torch.nn.modules.module", "Module"),
    "torch.nn.Parameter": ("torch.nn.parameter", "Parameter"),
    "torch.nn.ModuleList": ("torch.nn.modules.container", "ModuleList"),
    "torch.nn.ModuleDict": ("torch.nn.modules.container", "ModuleDict"),
    "torch.optim.Optimizer": ("torch.optim.optimizer", "Optimizer"),
    "torch.distributed.rpc.RRef": ("torch.distributed.rpc.api", "RRef"),
}
"""Where torch's source defines what users know by a shorter name."""

_NO_MODULES = (
    *("torch.autograd.", "torch.distributions.", "torch.utils.data.", "torch.Tensor"),
    *("torch.optim.Optimizer", "torch.optim.optimizer.", "torch.optim.lr_scheduler."),
    *("torch.nn.Parameter", "torch.nn.parameter.", "torch.nn.utils.rnn."),
)
"""Classes that people derive from and that are no modules."""


class NeedsTorch(Exception):
    """A name of torch's that only its source explains; carries the name."""


def is_torchs(symbol: Symbol) -> bool:
    """Whether a name is of torch's."""
    return str(symbol).partition(".")[0] == "torch"


def known(symbol: Symbol) -> Symbol | None:
    """The name by which torch's source defines what ``symbol`` names; None where that source must be read."""
    name = str(symbol)
    if name in _DEFINED_AS:
        return Symbol(*_DEFINED_AS[name])
    return symbol if name in _AS_WRITTEN else None


def may_be_module(bases: Sequence[str]) -> bool:
    """Whether a class with these bases of torch's may be an nn.Module."""
    return any(not base.startswith(_NO_MODULES) for base in bases)


def needs_torch(shown: str, names: Sequence[str], file: str, line: int | None) -> InterfaceError:
    """The error for a class whose interface depends on torch's source."""
    return InterfaceError(
        f"{shown} uses {', '.join(names)}: only torch's source tells what that is, and torch is not installed here",
        how="install torch in this environment; for pre-commit, use the hook remotemod-check-system",
        file=file,
        line=line,
    )
