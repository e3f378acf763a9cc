"""Torch's names for what is replaced; nothing else in this package spells them."""

from __future__ import annotations

import re

__all__ = [
    "CLASSES",
    "INTERFACE",
    "MENTION",
    "MODULES",
    "OLD_INTERFACE",
    "OUR_CLASS",
    "OUR_PACKAGE",
    "PRIVATE_ATTRIBUTES",
    "PRIVATE_CLASS",
    "PUBLIC_CLASS",
    "is_private",
]

_HOME = "torch.distributed.nn.api.remote_module"

MODULES = frozenset({"torch.distributed.nn", _HOME})
"""The modules that the classes are imported from."""

PUBLIC_CLASS = "RemoteModule"
PRIVATE_CLASS = "_RemoteModule"
CLASSES = frozenset(
    {f"{module}.{PUBLIC_CLASS}" for module in MODULES} | {f"{_HOME}.{PRIVATE_CLASS}"}
)
"""The absolute names that become ours."""

OUR_PACKAGE = "remotemod"
OUR_CLASS = f"{OUR_PACKAGE}.{PUBLIC_CLASS}"

OLD_INTERFACE, INTERFACE = "_module_interface_cls", "interface"
"""The keyword that was renamed."""

PRIVATE_ATTRIBUTES = frozenset(
    {
        "generated_methods",
        "_check_attribute_picklability",
        "_init_template",
        "_install_generated_methods",
        "_prepare_init",
    }
)
"""Attributes of a remote module that only torch's has."""

MENTION = re.compile(rb"[Rr]emote_?[Mm]odule|REMOTE_MODULE|distributed\.nn|instantiator")
"""A file without it has nothing of torch's RemoteModule."""


def is_private(name: str) -> bool:
    """Whether an absolute name belongs to the insides of torch's RemoteModule."""
    inside = f"{name}.".startswith((f"{_HOME}.", "torch.distributed.nn.jit."))
    return inside and name not in CLASSES and name not in MODULES
