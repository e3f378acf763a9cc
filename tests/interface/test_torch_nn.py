"""Source and live reading agree on every module class of torch.nn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from torch import nn

from remotemod.errors import InterfaceError
from remotemod.interface.live.read import read_live
from remotemod.interface.model import Interface
from remotemod.interface.source.program import Program
from remotemod.interface.source.read import read_from_source


def _module_classes(cls: type = nn.Module) -> Iterator[type]:
    for sub in cls.__subclasses__():
        if sub.__module__.startswith("torch.nn.modules."):
            yield sub
        yield from _module_classes(sub)


@pytest.mark.slow
def test_both_readers_agree_on_all_of_torch_nn() -> None:
    """Every class gives equal interfaces, or the same refusal."""
    program = Program()
    classes = set(_module_classes())
    assert len(classes) > 150
    for cls in classes:
        target = f"{cls.__module__}:{cls.__qualname__}"
        assert _outcome(read_from_source, target, program) == _outcome(read_live, cls), target


def _outcome(read, *args: object) -> Interface | str:
    try:
        return read(*args)
    except InterfaceError as error:
        return error.what
