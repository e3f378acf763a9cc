"""What a handle knows of itself, for other rooms: such names begin with an underscore, because all others are the user's."""

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
    """The client of what is known to be a handle."""
    client = client_of(handle)
    assert client is not None
    return client


def set_client(handle: object, client: Client) -> None:
    """Makes an object a handle on what a client reaches."""
    object.__setattr__(
        handle, "_client", client
    )  # nn.Module's own way would look for modules in it


def reference_of(handle: Any) -> str:
    """The string by which operators find a handle's module."""
    ref: str = handle._ref
    return ref


def set_reference(handle: Any, ref: str) -> None:
    """Has a scripted handle's operators find another module."""
    handle._ref = ref


def has_own_name(handle: Any) -> bool:
    """Whether that string is a name that the user gave."""
    return bool(handle._named)


def operator_class(cls: Any) -> type | None:
    """The class of handles that calls by operators, of a class that an engine made of it; None for all others."""
    made_of: type | None = cls._operator_class
    return made_of
