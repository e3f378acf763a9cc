"""Calls on the golden interfaces, and the modules behind them, for those that TorchScript can compile."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

__all__ = ["golden_calls"]

T = torch.arange(2.0)


class Plain(nn.Module):
    def forward(self, x: Any = None) -> Any:
        return None if x is None else x + 1


class Literals(nn.Module):
    def forward(
        self,
        x: Any,
        count: int = 3,
        rate: float = 0.5,
        word: str = "it's",
        on: bool = False,
        nothing: Any = None,
    ) -> Any:
        return x * count + rate + len(word) + on + (nothing or 0)


class Methods(Plain):
    def encode(self, x: Any, level: int = 3) -> Any:
        return [x] * level

    def reset(self) -> None:
        pass


class Long(nn.Module):
    def forward(self, states: Any, mask: Any = None, past: Any = None) -> Any:
        return states[0], mask, past

    def deep(self, x: Any) -> Any:
        return x


def golden_calls() -> dict[str, Any]:
    """By ``module:interface``: the interface, the module, and calls; the cases must be importable."""
    deep = {"a": {"b": {"c": [(T, 1, "x", T), None]}}}
    found = {
        "plain:Plain": (Plain, [("forward", (T,))]),
        "plain:Nothing": (Plain, [("forward", ())]),
        "literals:Scripted": (
            Literals,
            [("forward", (T,)), ("forward", (T, 1, 0.25, "", True, 7))],
        ),
        "methods:Several": (Methods, [("forward", (T,)), ("encode", (T, 2)), ("reset", ())]),
        "long:LongScripted": (
            Long,
            [("forward", ((T, T), None, [(T, T)])), ("forward", ((T, T), T)), ("deep", (deep,))],
        ),
    }
    calls = {}
    for name, (module, several) in found.items():
        place, _, interface = name.partition(":")
        cls = getattr(importlib.import_module(place), interface)
        calls[name.replace(":", ".")] = (cls, module, [(m, args, {}) for m, args in several])
    return calls
