"""Annotations of live objects: since Python 3.14 they are made when they are asked for, and may name what is not there."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["annotations_of", "signature_of"]

if sys.version_info >= (3, 14):
    # A name that is for type checkers alone comes as a ForwardRef.
    from annotationlib import Format

    def annotations_of(cls: type) -> dict[str, Any]:
        """The annotations of a class's own body."""
        return inspect.get_annotations(cls, format=Format.FORWARDREF)

    def signature_of(function: Callable[..., Any]) -> inspect.Signature:
        """The signature of a function."""
        return inspect.signature(function, annotation_format=Format.FORWARDREF)

else:

    def annotations_of(cls: type) -> dict[str, Any]:
        """The annotations of a class's own body."""
        return inspect.get_annotations(cls)

    def signature_of(function: Callable[..., Any]) -> inspect.Signature:
        """The signature of a function."""
        return inspect.signature(function)
