"""``torch.compile`` without a graph break, gradients included."""

import torch
from torch import nn
from user_model import Table

import remotemod as rm

with rm.launch(workers=["ps0"]):
    model = nn.Sequential(rm.RemoteModule("ps0/cpu", Table), nn.Linear(8, 1))
    ids = torch.tensor([3, 1, 4])
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(ids), model(ids))
    compiled(ids).sum().backward()
    assert model[1].weight.grad is not None
print("compiled")
