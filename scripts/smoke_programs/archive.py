"""Export a model, and have another process load and call it that has none of this folder's code."""

import subprocess
import sys
from pathlib import Path

import torch
from scripted_model import make

import remotemod as rm

stranger = Path(sys.argv[1])  # a program in a folder of its own
with rm.launch(workers=["ps0"]) as cluster:
    model = make()
    rm.export(model, "model.pt")
    x = torch.tensor([1.0, -2.0, 3.0])
    torch.save({"x": x, "y": model(x).detach()}, "expected.pt")
    command = [sys.executable, str(stranger), cluster.address, str(Path.cwd())]
    subprocess.run(command, cwd=stranger.parent, check=True, timeout=100)
