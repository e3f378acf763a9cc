"""Torch's RPC with a transport that sleeps while there is nothing to do.

By default it also has one through shared memory, and a thread in each process asks that for messages all the time,
also between calls: a cluster that is merely open takes a core. Tests that run beside each other would wait for those.
Examples, torch's own suite and whatever else starts Python itself have torch's defaults.
"""

from __future__ import annotations

from typing import Any

import torch.distributed

__all__: list[str] = []

if torch.distributed.is_available():
    import torch.distributed.rpc as rpc

    if rpc.is_available():

        class _Sleeping(rpc.TensorPipeRpcBackendOptions):
            def __init__(self, **options: Any) -> None:
                super().__init__(**{"_transports": ["uv"], **options})

        rpc.TensorPipeRpcBackendOptions = _Sleeping  # type: ignore[misc]
