"""Which backends, and which options of remote modules, the proofs of training are run with."""

from __future__ import annotations

import pytest

__all__ = ["SETTINGS"]

SETTINGS = [
    pytest.param(("shm", {}), id="shm"),
    pytest.param(("shm", {"recompute": True}), id="shm-recompute", marks=pytest.mark.slow),
    pytest.param(("inproc", {"recompute": True}), id="inproc-recompute", marks=pytest.mark.slow),
    pytest.param(("torch_rpc", {}), id="torch_rpc", marks=pytest.mark.slow),
]
"""A backend, and options of the remote modules. Without ``recompute`` an ``inproc`` call is a local one."""
