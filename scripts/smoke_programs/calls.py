"""Calls of every kind on two backends: results, futures, errors, functions."""

import sys

import torch
from user_model import Ranked, Table

import remotemod as rm

backends = sys.argv[1:] or ["inproc", "shm"]
ids = torch.tensor([3, 1, 4])
local = Table()
for backend in backends:
    with rm.launch(workers=["ps0", "ps1"], backend=backend) as cluster:
        table = rm.RemoteModule("ps0/cpu", Table)
        assert torch.equal(table(ids), local(ids))
        assert torch.equal(table(ids, scale=2.0), local(ids, scale=2.0))
        assert torch.equal(table.forward_async(ids).wait(), local(ids))
        stats = table.stats(ids)
        assert {k: v.item() for k, v in stats.items()} == {
            k: v.item() for k, v in local.stats(ids).items()
        }
        top = table.top(2)
        assert type(top) is Ranked, type(top)
        assert torch.equal(top.rows, local.top(2).rows)
        try:
            table.fail("no such row")
        except KeyError as error:
            assert backend == "inproc" or isinstance(error, rm.RemoteError)
        else:
            raise AssertionError("the remote error did not arrive")
        assert torch.equal(rm.rpc_sync("ps1", torch.add, (torch.ones(2), 1)), torch.full((2,), 2.0))
        assert list(cluster.workers) == ["ps0", "ps1"]
        state = table.state_dict()
        assert torch.equal(state["weight"], local.weight)
    print("calls on", backend)
