"""Which backends, and which options of remote modules, the proofs of training are run with."""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["BACKENDS", "OPTIONS", "OPTION_NAMES"]

BACKENDS = [
    "shm",
    pytest.param("inproc", marks=pytest.mark.slow),
    pytest.param("torch_rpc", marks=pytest.mark.slow),
]
OPTIONS: dict[str, dict[str, Any]] = {"kept": {}, "recompute": {"recompute": True}}
OPTION_NAMES = ["kept", pytest.param("recompute", marks=pytest.mark.slow)]
