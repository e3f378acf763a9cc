"""Find generated stubs without an interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from remotemod.interface.source.discover import STUB_HEADER

__all__ = ["stale_stubs"]


class _Written(Protocol):
    @property
    def path(self) -> Path | None: ...

    @property
    def target(self) -> str: ...

    @property
    def status(self) -> str: ...


def stale_stubs(
    folder: Path, targets: Sequence[str], outcomes: Iterable[_Written]
) -> Iterator[tuple[Path, str]]:
    """Stubs in ``folder`` that were generated from the targets and no longer would be.

    Args:
        folder: the folder of the stubs.
        targets: the requested targets; a target of one class never makes another class's stub stale.
        outcomes: those of the targets' interfaces. A module that could not be read keeps its stubs.
    """
    outcomes = list(outcomes)
    kept = {outcome.path for outcome in outcomes if outcome.path is not None}
    unread = {o.target for o in outcomes if o.status in ("failed", "skipped") and o.path is None}
    if not folder.is_dir():
        return
    for path in sorted(folder.glob("remote_*.py")):
        if path in kept:
            continue
        with path.open(encoding="utf-8", errors="replace") as file:
            header = STUB_HEADER.match(file.readline())
        if header is None:
            continue
        module = header["source"].rpartition(":")[0]
        if module not in unread and any(_covers(target, module) for target in targets):
            yield path, header["source"]


def _covers(target: str, module: str) -> bool:
    """Whether ``target`` names ``module`` whole: itself, or the package or folder around it."""
    target = target.rstrip("/")
    return module == target or module.startswith((f"{target}.", f"{target}/"))
