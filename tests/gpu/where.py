"""Which device the tests of this folder run on.

``REMOTEMOD_GPU_DEVICE`` says it: ``cuda``, ``cuda:1``, ``cpu`` or ``meta``. Without it they run on the first CUDA
device, and are skipped where there is none. ``scripts/gpu_check.sh`` sets it.
"""

from __future__ import annotations

import os

import torch

VARIABLE = "REMOTEMOD_GPU_DEVICE"


def _found() -> str | None:
    name = os.environ.get(VARIABLE) or ("cuda" if torch.cuda.is_available() else None)
    return "cuda:0" if name == "cuda" else name


DEVICE = _found()
"""As torch names a tensor's device; None where there is none."""
