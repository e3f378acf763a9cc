"""Imports of torch and remotemod in either order; alone, remotemod loads no torch."""

import sys

first, second = sys.argv[1:]
__import__(first)
if first == "remotemod":
    assert "torch" not in sys.modules
__import__(second)

import torch

import remotemod as rm

assert rm.RemoteModule is not None
assert torch.ones(1).item() == 1.0
