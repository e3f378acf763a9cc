"""Training steps through a remote part learn, to the bit, what they learn in one process."""

import torch
from torch import nn
from user_model import Table

import remotemod as rm


def steps(table, head, optimizer):
    """The losses of some steps."""
    ids, target = torch.tensor([3, 1, 4, 1]), torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    losses = []
    for _ in range(5):
        loss = nn.functional.mse_loss(head(table(ids)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def new_head():
    """The same one each time."""
    torch.manual_seed(0)
    return nn.Linear(8, 1)


table, head = Table(), new_head()
expected = steps(table, head, torch.optim.Adam([*table.parameters(), *head.parameters()], lr=0.05))
with rm.launch(workers=["ps0"]):
    remote, head = rm.RemoteModule("ps0/cpu", Table), new_head()
    model = nn.ModuleList([remote, head])
    losses = steps(remote, head, rm.RemoteOptimizer(torch.optim.Adam, model, lr=0.05))
    assert losses == expected, (losses, expected)
    assert torch.equal(remote.state_dict()["weight"], table.weight)
assert losses[-1] < losses[0]
print(f"loss {losses[0]:.4f} to {losses[-1]:.4f}, as in one process")
