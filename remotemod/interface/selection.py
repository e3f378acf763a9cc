"""The rules on which both readers agree: what counts as a method, and in which order methods stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["MODULE_NAMES", "NO_FORWARD", "PROTOCOL_NAMES", "method_order"]

MODULE_NAMES = ("torch.nn.modules.module.Module", "torch.nn.Module")
PROTOCOL_NAMES = ("typing.Protocol", "typing_extensions.Protocol")

NO_FORWARD = (
    "define forward with the arguments a remote caller passes, or read a class that has one"
)


def method_order(bodies: Sequence[Iterable[str]], hidden: Iterable[str] = ()) -> list[str]:
    """The public names that classes bind, base classes first, each name where it first stood.

    ``forward`` leads; so a subclass that adds a method never reorders what it inherits.

    Args:
        bodies: the names each class binds, in the order of the MRO.
        hidden: names that are no methods of an interface (nn.Module's own).
    """
    names = dict.fromkeys(name for body in reversed(bodies) for name in body)
    skipped = {*hidden, "forward"}
    return ["forward", *(n for n in names if not n.startswith("_") and n not in skipped)]
