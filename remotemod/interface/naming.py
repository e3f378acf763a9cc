"""Make the names that generated code and its files go by, none of which may ever collide."""

from __future__ import annotations

import hashlib
import keyword
import re
from collections import Counter
from collections.abc import Collection, Iterable

from remotemod.interface.model import Interface

__all__ = ["file_names", "fresh", "snake", "stub_class_name", "stub_file_name"]


def fresh(name: str, taken: Collection[str]) -> str:
    """``name``, or the nearest to it that is neither taken nor a keyword: ``x_``, then ``x_2``, ``x_3`` …"""
    candidate, count = name, 1
    while candidate in taken or keyword.iskeyword(candidate):
        candidate = f"{name}_" if count == 1 else f"{name}_{count}"
        count += 1
    return candidate


def snake(name: str) -> str:
    """``HTTPBackbone2d`` as ``http_backbone2d``; dots and other signs become underscores."""
    name = re.sub(r"\W+", "_", name)
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"__+", "_", name).strip("_").lower() or "module"


def stub_class_name(interface: Interface) -> str:
    """The class a stub defines: ``RemoteBackbone`` for ``Backbone``."""
    return f"Remote{interface.name.lstrip('_')}"


def stub_file_name(interface: Interface) -> str:
    """The file a stub is written to: ``remote_backbone.py`` for ``Backbone``."""
    return f"remote_{snake(interface.name)}.py"


def file_names(interfaces: Iterable[Interface]) -> dict[tuple[str, str], str]:
    """A file name for each interface, by (module, qualname); no two alike, even where case is not told apart.

    The short name where it is unique, else one that spells the whole path, else that and a digest of it:
    so ``a_b.c.I`` and ``a.b_c.I`` stay apart, and a name does not depend on the order of reading.
    """
    unique = {(i.module, i.qualname): i for i in interfaces}
    short = {key: stub_file_name(interface) for key, interface in unique.items()}
    full = {key: f"remote_{snake('.'.join(key))}.py" for key in unique}
    clash = {name for name, count in Counter(short.values()).items() if count > 1}
    names = {key: full[key] if short[key] in clash else short[key] for key in unique}
    counts = Counter(names.values())
    for key, name in names.items():
        if counts[name] > 1:
            digest = hashlib.sha256(":".join(key).encode()).hexdigest()[:8]
            names[key] = f"{name.removesuffix('.py')}_{digest}.py"
    return names
