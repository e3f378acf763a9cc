"""Annotations of live objects: since Python 3.14 they are made when they are asked for, and may name what is not there."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["annotations_of", "signature_of"]

_HOW: dict[str, Any] = {}
_HOW_SIGNATURE: dict[str, Any] = {}
if sys.version_info >= (3, 14):
    import annotationlib

    # A name that is for type checkers alone comes as a ForwardRef.
    _HOW = {"format": annotationlib.Format.FORWARDREF}
    _HOW_SIGNATURE = {"annotation_format": annotationlib.Format.FORWARDREF}


def annotations_of(cls: type) -> dict[str, Any]:
    """The annotations of a class's own body."""
    return inspect.get_annotations(cls, **_HOW)


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function."""
    return inspect.signature(function, **_HOW_SIGNATURE)
