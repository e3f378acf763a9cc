"""The private attributes of a handle, for other rooms; all names without an underscore are the user's."""

from __future__ import annotations

from typing import Any

from remotemod.handles.client import Client

__all__ = [
    "client_of",
    "has_own_name",
    "operator_class",
    "own_client",
    "reference_of",
    "set_client",
    "set_reference",
]


def client_of(module: object) -> Client | None:
    """The client of a handle, scripted or not; None for any other object."""
    client = getattr(module, "_client", None)
    return client if isinstance(client, Client) else None


def own_client(handle: object) -> Client:
    """The client of a handle."""
    client = client_of(handle)
    assert client is not None
    return client


def set_client(handle: object, client: Client) -> None:
    """Give a handle its client."""
    object.__setattr__(
        handle, "_client", client
    )  # nn.Module.__setattr__ would check it for modules


def reference_of(handle: Any) -> str:
    """The string by which operators find a handle's module."""
    ref: str = handle._ref
    return ref


def set_reference(handle: Any, ref: str) -> None:
    """Have a scripted handle's operators find another module."""
    handle._ref = ref


def has_own_name(handle: Any) -> bool:
    """Whether that string is a name that the user gave."""
    return bool(handle._named)


def operator_class(cls: Any) -> type | None:
    """The class that calls by operators, from which an engine derived ``cls``; None for all other classes."""
    operators: type | None = cls._operator_class
    return operators
