"""Sizes, durations and the machine, as people read and write them."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from datetime import date
from importlib import metadata

__all__ = ["duration", "human", "machine", "parse_size", "version"]

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_LARGEST = 1 << 30
_DTYPE_BYTES = 4


def parse_size(text: str) -> int:
    """Bytes of ``"4"``, ``"4 B"``, ``"256KiB"`` and the like.

    Raises:
        ValueError: it is no size, no multiple of 4, or out of bounds; the message says what is allowed.
    """
    match = re.fullmatch(r"(\d+)\s*([a-zA-Z]*)", text.strip())
    units = {unit.lower(): factor for unit, factor in _UNITS.items()}
    factor = units.get((match[2] or "B").lower()) if match else None
    size = int(match[1]) * factor if match and factor else 0
    if not 0 < size <= _LARGEST or size % _DTYPE_BYTES:
        raise ValueError(
            f"'{text}' is no size that can be measured: give bytes, or a number with KiB, MiB or GiB; a multiple "
            f"of {_DTYPE_BYTES} bytes (the tensors hold float32), {human(_LARGEST)} at most"
        )
    return size


def human(size: int) -> str:
    """A size in bytes for people."""
    for unit, factor in reversed(_UNITS.items()):
        if size >= factor and size % factor == 0:
            return f"{size // factor:,} {unit}"
    return f"{size:,} B"


def duration(seconds: float) -> str:
    """A time for people, to three digits."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor or unit == "µs":
            value = seconds / factor
            digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
            return f"{value:,.{digits}f} {unit}"
    raise AssertionError


def version(distributions: Iterable[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    versions = {}
    for name in distributions:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def machine() -> str:
    """What figures are taken on."""
    return (
        f"{date.today().isoformat()}, {os.cpu_count()} cores, {platform.machine()} {platform.system()} "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}, "
        f"torch {metadata.version('torch')}"
    )
