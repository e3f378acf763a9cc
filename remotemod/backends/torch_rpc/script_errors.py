"""The errors of scripted code, read from TorchScript's text."""

from __future__ import annotations

import importlib
import re

from remotemod.wire.codec import Codec
from remotemod.wire.failure import Failure

__all__ = ["script_failure"]

_SCRIPT_ERROR = re.compile(r"^(?:([\w.]+)\.)?(\w+): (.*)\Z", re.MULTILINE | re.DOTALL)


def script_failure(text: str, worker: str, codec: Codec) -> Failure:
    """The failure of a scripted module: TorchScript's last lines hold the type and the message.

    Args:
        text: TorchScript's text.
        worker: the worker's name.
        codec: encodes the message.
    """
    at = text.rfind("<--- HERE")
    match = _SCRIPT_ERROR.search(text, text.find("\n", at) if at >= 0 else 0)
    module, name, message = match.groups() if match else (None, "RuntimeError", text)
    reference = _error_class(module or "builtins", name)
    return Failure(
        worker=worker,
        type_name=name if reference[0] == "builtins" else ".".join(reference),
        message=message.strip(),
        traceback=text,
        reference=reference,
        type_parcel=None,
        arguments=[codec.encode(message.strip())],
    )


def _error_class(module: str, name: str) -> tuple[str, str]:
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return "builtins", "RuntimeError"
    is_error = isinstance(cls, type) and issubclass(cls, Exception)
    return (module, name) if is_error else ("builtins", "RuntimeError")
