"""What may be compared on the device of these tests; without one, who imports this is skipped."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from tests.gpu.where import DEVICE, VARIABLE

if DEVICE is None:
    pytest.skip(
        f"torch {torch.__version__} finds no CUDA device; {VARIABLE}=cpu is a dry run",
        allow_module_level=True,
    )

ON_CUDA = DEVICE.startswith("cuda")
HERE = "meta" if DEVICE == "meta" else "cpu"
"""Where results are: tensors on meta have no data to bring back."""

needs_values = pytest.mark.skipif(DEVICE == "meta", reason="tensors on meta have no values")


def only_on_cuda(why: str) -> Any:
    """Skips a test where the device is a stand-in."""
    return pytest.mark.skipif(not ON_CUDA, reason=f"not on {DEVICE}, because {why}")


def assert_came_back(found: Any, expected: Any) -> None:
    """What came from a worker is what the local module gives on the same device: types, values, and all of it here."""
    if isinstance(expected, Tensor):
        assert isinstance(found, Tensor)
        assert found.device.type == HERE
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        if HERE != "meta":
            torch.testing.assert_close(found, expected.cpu())
        return
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_came_back(found[key], value)
    elif isinstance(expected, PackedSequence):
        assert_came_back(tuple(found), tuple(expected))
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_came_back(one, other)
    elif dataclasses.is_dataclass(expected):
        assert_came_back(vars(found), vars(expected))
    else:
        assert found == expected
