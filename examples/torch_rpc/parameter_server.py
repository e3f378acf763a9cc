"""One model on a parameter server, trained by several trainers at once and without a lock between them.

``python -m examples.torch_rpc.parameter_server [--steps N] [--batch N] [--trainers N]``

The first trainer creates the model on the server. It sends its handle to every second trainer, and to the others
only the reference, from which they make handles of their own. All trainers call the same model, and each steps it with
the gradients of its own distributed backward pass, whatever the others do meanwhile (Hogwild).

The data are scikit-learn's handwritten digits.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, NamedTuple

import torch
import torch.distributed.autograd as dist_autograd
import torch.distributed.rpc as rpc
from torch import Tensor, nn
from torch.distributed.optim import DistributedOptimizer
from torch.nn import functional

from examples.digits.data import Digits, load
from examples.torch_rpc.local import counted, positive, spawn
from remotemod import RemoteModule  # was: from torch.distributed.nn import RemoteModule


class Classifier(nn.Module):
    """Tells which digit an image of 8 × 8 pixels shows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, width, kernel_size=3)
        self.linear = nn.Linear(width * 9, 10)

    def forward(self, images: Tensor) -> Tensor:
        # A backward pass needs the weights of its forward pass, but other trainers may have stepped in between.
        # Autograd refuses changed weights, so each pass uses copies.
        kernels, weights = self.convolution.weight.clone(), self.linear.weight.clone()
        features = functional.conv2d(images, kernels, self.convolution.bias)
        features = functional.max_pool2d(features.relu(), 2).flatten(1)
        return functional.linear(features, weights, self.linear.bias)


class Trained(NamedTuple):
    """What a trainer reports to the first one: how it got its handle, its losses, when it trained."""

    by: str
    losses: list[float]
    began: float
    ended: float


def train(given: Any, number: int, share: Digits, options: argparse.Namespace) -> Trained:
    """On a trainer: trains the model on the server with its share of the images.

    Args:
        given: a handle on the model, or a reference to it.
        number: which trainer this is.
        share: its images.
        options: steps, and images in a step.
    """
    by, model = "handle", given
    if not isinstance(given, RemoteModule):
        by, model = "reference", RemoteModule.init_from_module_rref("ps/cpu", given)
    optimizer = DistributedOptimizer(torch.optim.SGD, model.remote_parameters(), lr=0.1)
    choice = torch.Generator().manual_seed(number)
    losses = []
    began = time.time()
    for _ in counted(options.steps, "training") if number == 0 else range(options.steps):
        chosen = torch.randint(len(share.labels), (options.batch,), generator=choice)
        with dist_autograd.context() as context:
            loss = functional.cross_entropy(
                model.forward(share.images[chosen]), share.labels[chosen]
            )
            dist_autograd.backward(context, [loss])
            optimizer.step(context)
        losses.append(loss.item())
    return Trained(by, losses, began, time.time())


def lead(options: argparse.Namespace) -> None:
    """On the first trainer: creates the model, trains it together with the others, evaluates it."""
    training, test = load()
    model = RemoteModule("ps/cpu", Classifier, kwargs={"width": 16})
    reference = model.get_module_rref()
    count = options.trainers
    shares = [Digits(training.images[n::count], training.labels[n::count]) for n in range(count)]
    before = accuracy(model, test)
    others = [
        rpc.rpc_async(f"trainer{n}", train, (reference if n % 2 else model, n, shares[n], options))
        for n in range(1, count)
    ]
    results = [train(model, 0, shares[0], options), *torch.futures.wait_all(others)]
    after = accuracy(model, test)

    print(f"the model is on {model.on}")
    for n, result in enumerate(results):
        first, last = start_and_end(result.losses)
        print(f"trainer{n}, by {result.by}: loss {first:.3f} -> {last:.3f}")
        assert last < first, f"the loss of trainer{n} did not fall"
    seconds = max(r.ended for r in results) - min(r.began for r in results)
    steps = count * options.steps
    print(f"together: {steps} steps in {seconds:.1f} s, {steps / seconds:,.0f} a second")
    print(f"accuracy: {before:.2%} -> {after:.2%}")


def accuracy(model: nn.Module, digits: Digits) -> float:
    with torch.no_grad():
        right = model.forward(digits.images).argmax(1) == digits.labels
    return right.float().mean().item()


def start_and_end(losses: list[float]) -> tuple[float, float]:
    """The mean loss of the first and of the last tenth of the steps."""
    tenth = max(1, len(losses) // 10)
    return sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth


def process(rank: int, folder: str, options: argparse.Namespace) -> None:
    """What each process does: the first leads, the others wait for calls until it is done."""
    names = [*(f"trainer{n}" for n in range(options.trainers)), "ps"]
    rpc.init_rpc(
        names[rank],
        rank=rank,
        world_size=len(names),
        rpc_backend_options=rpc.TensorPipeRpcBackendOptions(init_method=f"file://{folder}/rpc"),
    )
    if rank == 0:
        lead(options)
    rpc.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m examples.torch_rpc.parameter_server",
        description="Trains one model on a parameter server from several trainers at once.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--steps", type=positive, default=100, help="steps of each trainer")
    parser.add_argument("--batch", type=positive, default=32, help="images in a step")
    parser.add_argument("--trainers", type=positive, default=3, help="trainer processes")
    options = parser.parse_args()
    spawn(process, options.trainers + 1, options)


if __name__ == "__main__":
    main()
