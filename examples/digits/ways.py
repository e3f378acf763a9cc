"""The ways to call a remote backbone, each a few lines, and one stopwatch for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor, nn

import remotemod as rm
from examples.digits.model import Backbone, Classifier, FeatureExtractor

Answers = list[tuple[Tensor, Tensor]]
"""For each batch its logits, and the features that the backbone returned."""

Way = Callable[[list[Tensor]], Answers]
"""Classifies all batches."""


def place(cls: type[rm.RemoteModule], worker: str, trained: Backbone) -> rm.RemoteModule:
    """Builds a backbone on a worker and gives it the weights that were trained here."""
    # A generated stub knows its interface already.
    interface = FeatureExtractor if cls is rm.RemoteModule else None
    remote = cls(f"{worker}/cpu", Backbone, interface=interface)
    remote.load_state_dict(trained.state_dict())
    return remote.eval()


def blocking(models: Sequence[nn.Module]) -> Way:
    """One call after the other, the models in turn."""
    return lambda batches: [
        model(images) for model, images in zip(cycle(models), batches, strict=False)
    ]


def in_flight(remotes: Sequence[rm.RemoteModule], head: nn.Module) -> Way:
    """All calls at once; each answer is awaited only when all of them are under way."""

    def classify(batches: list[Tensor]) -> Answers:
        futures = [
            remote.forward_async(images)
            for remote, images in zip(cycle(remotes), batches, strict=False)
        ]
        return [(head(features), features) for features in (f.wait() for f in futures)]

    return classify


def remote_ways(
    remotes: Sequence[rm.RemoteModule], stubs: Sequence[rm.RemoteModule], head: nn.Module
) -> dict[str, Way]:
    """Every way by its name.

    Args:
        remotes: plain remote modules, one on each worker.
        stubs: the same from the generated file.
        head: the part that stays here.
    """
    scripted = torch.jit.script(Classifier(remotes[0], head).eval())
    return {
        "RemoteModule": blocking([Classifier(remote, head) for remote in remotes]),
        "stub file": blocking([Classifier(stub, head) for stub in stubs]),
        "stub file, async": in_flight(stubs, head),
        "scripted": blocking([scripted]),
        "scripted, async": scripted.forward_all,
    }


@dataclass(frozen=True)
class Result:
    """What one way made of the test set; the bytes are those of the tensors that went in and came out."""

    name: str
    logits: Tensor
    seconds: float
    calls: int
    sent: int
    received: int


def measure(name: str, way: Way, batches: list[Tensor]) -> Result:
    """Goes through the batches twice and times the second pass: the first one warms up."""
    with torch.no_grad():
        way(batches)
        start = time.perf_counter()
        answers = way(batches)
        seconds = time.perf_counter() - start
    return Result(
        name,
        logits=torch.cat([logits for logits, _ in answers]),
        seconds=seconds,
        calls=len(answers),
        sent=sum(images.nbytes for images in batches),
        received=sum(features.nbytes for _, features in answers),
    )
