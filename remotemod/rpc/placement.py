"""Read remote device strings: which worker, which device."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from remotemod.errors import PlacementError
from remotemod.hints import did_you_mean
from remotemod.process import cached

__all__ = ["Placement", "check_device", "check_owner"]

_RANK = re.compile(r"rank:(\d+)\Z")
_FORMS = '"worker/device", "worker", "rank:N/device", or "device" for this process'


@dataclass(frozen=True, slots=True)
class Placement:
    """The place of a module; the forms are those of ``torch.distributed.nn.RemoteModule``.

    Attributes:
        worker: the worker's name; None for a rank or for this process.
        rank: the worker's rank; None for a name or for this process.
        device: the device on that worker, as torch spells it.
    """

    worker: str | None
    rank: int | None
    device: str

    @staticmethod
    def parse(text: str) -> Placement:
        """Read ``"ps0/cuda:0"``, ``"ps0"``, ``"rank:1/cpu"`` or ``"cpu"`` (this process).

        Raises:
            PlacementError: the string has none of these forms, or the device is none.
        """
        if not isinstance(text, str) or not text:
            raise PlacementError(f"remote_device must be {_FORMS}; got {text!r}")
        return Placement._parsed(text)

    @staticmethod
    @cached(maxsize=1024)
    def _parsed(text: str) -> Placement:
        worker, slash, device = text.partition("/")
        if not slash and not _RANK.match(worker) and _device(worker) is not None:
            return Placement(None, None, str(_device(worker)))
        device = device if slash else "cpu"
        if not worker or "/" in device:
            # Programs written for torch's RemoteModule look for these words.
            raise PlacementError(
                f"Could not parse remote_device: {text}. The valid format is '<workername>/<device>'; "
                f"the forms are {_FORMS}"
            )
        try:
            parsed = torch.device(device)
        except RuntimeError as error:
            reason = str(error).split("\n")[0]
            raise _NoDevice(
                f"bad remote_device {text!r}: {device!r} is no torch device ({reason}); "
                f"the forms are {_FORMS}"
            ) from None
        rank = _RANK.match(worker)
        if rank:
            return Placement(None, int(rank[1]), str(parsed))
        return Placement(worker, None, str(parsed))

    @property
    def is_local(self) -> bool:
        """Whether this names the calling process itself."""
        return self.worker is None and self.rank is None

    def resolve(self, workers: Sequence[str]) -> str:
        """The worker's name among ``workers``; for this process, its only one.

        Raises:
            PlacementError: there is no such worker.
        """
        if self.is_local:
            return workers[0]
        if self.rank is not None:
            if self.rank < len(workers):
                return workers[self.rank]
            raise PlacementError(
                f"there is no worker of rank {self.rank}; "
                f"the ranks are 0 to {len(workers) - 1} ({', '.join(workers)})"
            )
        name = self.worker or ""
        if name in workers:
            return name
        hint = did_you_mean(name, workers, lead="; ")
        raise PlacementError(
            f"there is no worker '{name}'; the workers are {', '.join(workers) or 'none'}{hint}"
        )


class _NoDevice(PlacementError, RuntimeError):
    """A string that names no device; a RuntimeError, as in torch."""


def _device(text: str) -> torch.device | None:
    try:
        return torch.device(text)
    except RuntimeError:
        return None


def check_owner(text: str, named: str, owner: str) -> None:
    """Raise PlacementError where a device string names another worker than a module's owner."""
    if named == owner:
        return
    if "/" in text:
        raise PlacementError(
            f"remote_device {text!r} names '{named}', but the module lives on '{owner}'"
        )
    warnings.warn(
        f"remote_device {text!r} names another worker than '{owner}', where the module lives; "
        f"say '{owner}'",
        stacklevel=3,
    )


def check_device(text: str, placement: Placement, device: str | None) -> None:
    """Raise PlacementError where a device string names another device than the module's."""
    if device is None:
        return
    expected, actual = torch.device(placement.device), torch.device(device)
    if expected.type != actual.type or expected.index not in (None, actual.index):
        raise PlacementError(
            f"remote_device {text!r} says '{expected}', but the module is on '{actual}' of its owner"
        )
