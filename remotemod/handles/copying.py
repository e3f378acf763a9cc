"""Copies of handles: on the same module, or on a copy of it on its owner."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from remotemod.handles.attach import attach, build_for
from remotemod.handles.members import own_client
from remotemod.handles.stub_class import StubClass
from remotemod.owner import module_functions as on_owner
from remotemod.requests import Build
from remotemod.torch_compat.modules import COMPILED_CALL, parameters_of, with_parameters

__all__ = ["another", "copied"]


def another(handle: Any) -> Any:
    """The result of ``copy.copy``: another handle on the same module; hooks are shared."""
    cls: Any = type(handle)
    twin = cls.__new__(cls)
    vars(twin).update(vars(handle))
    vars(twin).pop(COMPILED_CALL, None)  # it would call the original
    attach(twin, own_client(handle), cls)
    return twin


def copied(handle: Any, memo: dict[int, Any]) -> Any:
    """The result of ``copy.deepcopy``: a handle on a copy, which the owner makes.

    Args:
        handle: the handle.
        memo: the copies so far; handles on one module become handles on one copy.
    """
    cls: Any = type(handle)
    twin = cls.__new__(cls)
    memo[id(handle)] = twin
    nn.Module.__init__(twin)
    before = vars(twin).keys() - with_parameters({}).keys()
    client = own_client(handle)
    source = id(client.ref)
    target = on_owner.existing if source in memo else on_owner.copied
    request = Build(target, (memo.get(source, client.ref),), {}, None)
    stub_class = StubClass(cls, client.loaded)
    build_for(
        twin,
        client.cluster,
        client.worker,
        request,
        stub_class,
        client.device,
        timeout=client.spec.timeout,
        recompute=client.spec.recompute,
    )
    memo[source] = twin.module_rref
    attached = vars(twin).keys() - before | {COMPILED_CALL}
    for name, value in vars(handle).items():
        if name not in attached:
            vars(twin)[name] = copy.deepcopy(value, memo)
    parameters_of(twin).update(copy.deepcopy(dict(parameters_of(handle)), memo))
    return twin
