"""Load a model that another process has exported, without its code, and call its remote part."""

import importlib.util
import sys
from pathlib import Path

import torch

import remotemod as rm

address, folder = sys.argv[1], Path(sys.argv[2])
assert importlib.util.find_spec("scripted_model") is None
expected = torch.load(folder / "expected.pt")
with rm.connect(address):
    model = rm.load(folder / "model.pt")
    assert torch.equal(model(expected["x"]), expected["y"])
    assert "scripted_model" not in sys.modules
print("loaded without the user's code")
