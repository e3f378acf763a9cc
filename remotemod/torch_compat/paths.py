"""Where torch itself defines what users spell in public, as a reader of source or of ``__module__`` meets it; no torch is loaded."""

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
"""Where dtypes, layouts and the like are."""


def is_public_in_torch(module: str, name: str) -> bool:
    """Whether a class that the compiled module defines is one that ``torch`` exports."""
    return module == "torch._C" and not name.startswith("_") and not name.endswith("Base")
