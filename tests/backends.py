"""The backends that tests of behaviour above them are run with; the fast tier takes the embedded default."""

from __future__ import annotations

import pytest

__all__ = ["BACKENDS"]

BACKENDS = [
    "shm",
    pytest.param("inproc", marks=pytest.mark.slow),
    pytest.param("torch_rpc", marks=pytest.mark.slow),
]
