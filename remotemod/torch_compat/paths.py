"""The paths at which torch itself defines its public names, for readers of source or of ``__module__``; no torch is loaded."""

from __future__ import annotations

__all__ = [
    "COMPILED_MODULES",
    "FUTURES",
    "INTERFACE_DECORATORS",
    "TENSORS",
    "is_public_in_torch",
]

TENSORS = ("torch.Tensor", "torch._tensor.Tensor")
FUTURES = (
    "torch.futures.Future",
    "torch.jit.Future",
    "torch._jit_internal.Future",
    "torch._C.Future",
    "torch.Future",
)
INTERFACE_DECORATORS = ("torch.jit.interface", "torch.jit._script.interface")
COMPILED_MODULES = ("torch", "torch._C")
"""The modules of dtypes, layouts and the like."""


def is_public_in_torch(module: str, name: str) -> bool:
    """Whether a class that the compiled module defines is one that ``torch`` exports."""
    return module == "torch._C" and not name.startswith("_") and not name.endswith("Base")
