"""Find the interfaces of targets: one, a module's, or a whole package's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from remotemod.errors import InterfaceError
from remotemod.interface.model import Interface
from remotemod.interface.read import read_interfaces

__all__ = ["Found", "Progress", "find_interfaces", "read_target"]

Progress = Callable[[int, int, str], None]
"""Called with the number of finished modules, of all, and the name of the next."""


@dataclass(frozen=True)
class Found:
    """An interface and the ``TARGET`` that names it alone; or the reason why there is none.

    Attributes:
        target: the target.
        interface: the interface.
        error: the error of reading it.
        skipped: why a module of a package was left out: it is no Python of today.
    """

    target: str
    interface: Interface | None = None
    error: InterfaceError | None = None
    skipped: str = ""


def read_target(target: object, *, live: bool = False) -> list[Interface]:
    """The interfaces that a target names; at least one.

    Args:
        target: a target as text, or a live object.
        live: import what the text names, and read that.

    Raises:
        InterfaceError: the target cannot be read, or there is nothing in it.
    """
    interfaces = read_interfaces(target, live=live)
    if not interfaces:
        raise _nothing_in(target)
    return interfaces


def find_interfaces(
    target: object, *, live: bool = False, progress: Progress | None = None
) -> Iterator[Found]:
    """All interfaces behind a target; a package or folder is walked, and none of it runs.

    Args:
        target: a target as text, or a live object.
        live: import what the text names, and read that (no walk).
        progress: called before each module is read.
    """
    if isinstance(target, str) and not live and ":" not in target.replace(":\\", ""):
        yield from _walk(target, progress)
        return
    try:
        for interface in read_target(target, live=live):
            yield Found(_name(target, interface), interface)
    except InterfaceError as error:
        yield Found(str(target), error=error)


def _walk(target: str, progress: Progress | None) -> Iterator[Found]:
    from remotemod.interface.source.discover import walk_package  # these need libcst
    from remotemod.interface.source.read import read_each_from_source

    try:
        modules = walk_package(target)
    except InterfaceError as error:
        yield Found(target, error=error)
        return
    count = 0
    for index, module in enumerate(modules):
        if progress is not None:
            progress(index, len(modules), module.target)
        # Named by itself, a module that cannot be read is an error; on a walk it is passed over.
        if len(modules) > 1:
            if module.skipped:
                yield Found(module.target, skipped=module.skipped)
                count += 1
                continue
            if module.empty:
                continue
        try:
            for outcome in read_each_from_source(module.location, module.program):
                count += 1
                if isinstance(outcome, InterfaceError):
                    yield Found(module.target, error=outcome)
                else:
                    yield Found(_name(module.target, outcome), outcome)
        except InterfaceError as error:
            count += 1
            yield Found(module.target, error=error)
    if progress is not None:
        progress(len(modules), len(modules), "")
    if not count:
        yield Found(target, error=_nothing_in(target))


def _nothing_in(target: object) -> InterfaceError:
    return InterfaceError(
        f"there is no interface and no module class with a forward in {target}",
        how="name a class (TARGET:Name) to see why it is none",
    )


def _name(target: object, interface: Interface) -> str:
    """The target of one interface, spelled like the given one, so that the command works in the same folder."""
    if not isinstance(target, str):
        return interface.target
    head, colon, last = target.rpartition(":")
    base = head if colon and "/" not in last and "\\" not in last else target
    return f"{base}:{interface.qualname}"
