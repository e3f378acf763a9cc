"""What tests run in processes that have no user code: they load archives, and call what is in them."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import torch

import remotemod as rm

__all__ = ["calls", "forget_user_code", "gradients", "plain", "plainly", "refusal", "two_at_once"]

Call = tuple[str, tuple[Any, ...], dict[str, Any]]


def plain(value: Any) -> Any:
    """``value`` with plain tuples for named ones and lists for tensors, so that equal values are equal."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.tolist()
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, list):
        return list(map(plain, value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def forget_user_code() -> None:
    """Makes the user's code impossible to import."""
    sys.path[:] = [place for place in sys.path if not place.endswith(("user_code", "cases"))]
    importlib.invalidate_caches()
    for module in ("archive_zoo", "literals"):
        assert importlib.util.find_spec(module) is None
        assert module not in sys.modules


def calls(archives: dict[str, list[Call]], load: str = "rm") -> dict[str, Any]:
    """The results of all calls on the models of some archives; each is made twice, once asynchronously."""
    results = {}
    for path, several in archives.items():
        model = rm.load(path) if load == "rm" else torch.jit.load(path)
        found = []
        for method, args, kwargs in several:
            found.append(plain(getattr(model, method)(*args, **kwargs)))
            later = getattr(model, f"{method}_async", None)
            if later is not None and method != "add":
                assert plain(later(*args, **kwargs).wait()) == found[-1]
        results[path] = found
    assert not {"archive_zoo", "literals"} & sys.modules.keys()
    return results


def plainly(archives: dict[str, list[Call]]) -> dict[str, Any]:
    """Like :func:`calls`, of models that torch's own function loads."""
    return calls(archives, "torch")


def refusal(path: str) -> str:
    """Why a file is not loaded."""
    try:
        rm.load(path)
    except rm.ArchiveError as error:
        return str(error)
    return "it was loaded"


def gradients(path: str, x: torch.Tensor) -> tuple[Any, Any, list[Any]]:
    """A loaded model's result, and the gradients of its input and its own parameters."""
    model = rm.load(path)
    x.requires_grad_()
    y = model(x)
    y.sum().backward()
    return plain(y), plain(x.grad), [plain(p.grad) for p in model.parameters()]


def two_at_once(path: str, x: torch.Tensor) -> list[Any]:
    """The results of models that several threads load and call at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda _: plain(rm.load(path)(x)), range(8)))
