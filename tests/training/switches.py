"""Which backends, and which options of remote modules, the proofs of training are run with."""

from __future__ import annotations

from typing import Any

__all__ = ["BACKENDS", "OPTIONS"]

BACKENDS = ["inproc", "shm", "torch_rpc"]
OPTIONS: dict[str, dict[str, Any]] = {"kept": {}, "recompute": {"recompute": True}}
