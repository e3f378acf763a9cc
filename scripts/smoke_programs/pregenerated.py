"""A stub that ``remotemod gen`` wrote into a folder of the user's is imported and called."""

import inspect

import torch
from stubs.remote_table import RemoteTable
from user_model import Table

import remotemod as rm

assert list(inspect.signature(RemoteTable.forward).parameters) == ["self", "ids", "scale"]
with rm.launch(workers=["ps0"]):
    table = RemoteTable("ps0/cpu", Table)
    ids = torch.tensor([3, 1, 4])
    assert torch.equal(table(ids, scale=3.0), Table()(ids, scale=3.0))
print("a generated stub was called")
