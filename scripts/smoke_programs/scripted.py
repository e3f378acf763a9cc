"""A scripted model calls its remote part, forward and backward."""

import torch
from scripted_model import make

import remotemod as rm

x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
with rm.launch(workers=["ps0"]):
    model = make()
    scripted = torch.jit.script(model)
    y = scripted(x)
    assert torch.equal(y, 2 * x**3 + 2 * x**2 + 0.5), y
    y.sum().backward()
    assert torch.allclose(x.grad, 6 * x**2 + 4 * x), x.grad
    assert torch.equal(torch.jit.script(model.scorer)(x, 2), 2 * x**2)
print("scripted", y.tolist())
