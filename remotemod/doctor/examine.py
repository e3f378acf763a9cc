"""Examine this installation; what may crash or hang runs in a process of its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator

from remotemod.doctor.model import BackendCheck, Library, Report, TorchName
from remotemod.version import VERSION

__all__ = ["Progress", "examine"]

Progress = Callable[[int, int, str], None]
"""Called with the steps done, the steps in all, and the next step."""

_EXTRAS = ("ray", "grpc", "monarch", "bench")
"""The extras that users install; the others are for developers."""
_SECONDS = 120.0
"""The timeout of a backend's try; a first launch loads torch anew."""


def examine(progress: Progress | None = None) -> Report:
    """Examine this installation.

    Args:
        progress: called before each step.
    """
    has_torch = importlib.util.find_spec("torch") is not None
    backends = _backend_names() if has_torch else []
    report_progress = progress or (lambda done, total, step: None)
    checks = []
    for done, name in enumerate(backends):
        report_progress(done, len(backends), f"backend {name}")
        checks.append(_try(name))
    report_progress(len(backends), len(backends), "torch")
    return Report(
        remotemod=VERSION,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        torch=_build() if has_torch else None,
        torchscript=_torchscript() if has_torch else "torch is not installed",
        accelerators=_accelerators() if has_torch else (),
        libraries=tuple(_libraries()),
        names=_names() if has_torch else (),
        backends=tuple(checks),
    )


def _libraries() -> Iterator[Library]:
    """The requirements in the package's metadata, those of its extras included."""
    try:
        requirements = importlib.metadata.requires("remotemod") or []
    except importlib.metadata.PackageNotFoundError:  # a checkout on the path, never installed
        return
    for line in requirements:
        requirement, _, condition = line.partition(";")
        name = re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", condition)
        if extra is None:
            yield Library(name, _version(name))
        elif extra[1] in _EXTRAS:
            yield Library(name, _version(name), f"the extra {extra[1]}")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _build() -> str:
    import torch

    built = torch.version
    engine = f"CUDA {built.cuda}" if built.cuda else f"ROCm {built.hip}" if built.hip else "CPU"
    return f"{torch.__version__}, built for {engine}"


def _torchscript() -> str | None:
    import torch
    from torch import nn

    from remotemod.torch_compat.script import jit, without_advice

    class Doubles(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    try:
        with without_advice():
            scripted = jit().script(Doubles())
        assert torch.equal(scripted(torch.ones(1)), torch.full((1,), 2.0))
    except Exception as error:  # whatever a torch or a Python raises that does not support it
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return None


def _accelerators() -> tuple[str, ...]:
    import torch

    if not torch.accelerator.is_available():
        return ()
    device = torch.accelerator.current_accelerator()
    kind = device.type if device is not None else "accelerator"
    module = getattr(torch, kind, None)
    named = getattr(module, "get_device_name", lambda index: kind)
    return tuple(
        f"{kind}:{index} {named(index)}" for index in range(torch.accelerator.device_count())
    )


def _names() -> tuple[TorchName, ...]:
    from remotemod.torch_compat.catalogue import catalogue

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(
            TorchName(topic, p.name, p.is_here, p.relied_on, p.without, p.instead)
            for topic, privates in catalogue().items()
            for p in privates
        )


def _backend_names() -> list[str]:
    from remotemod.rpc.registry import backend_names

    return backend_names()


def _try(name: str) -> BackendCheck:
    """Try a backend in a process of its own, which may crash or hang."""
    command = [sys.executable, "-W", "ignore", "-m", "remotemod.doctor.round_trip", name]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return BackendCheck(name, works=False, why=f"no answer within {_SECONDS:g} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return BackendCheck(name, works=False, why=lines[-1])
    measured = json.loads(done.stdout.splitlines()[-1])
    return BackendCheck(
        name,
        works=True,
        capabilities=tuple(measured["capabilities"]),
        launch=measured["launch"],
        call=measured["call"],
    )
