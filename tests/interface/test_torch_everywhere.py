"""Reading survives all of an installed torch, and says of forward what the live classes say."""

from __future__ import annotations

import importlib
import warnings

import pytest

from remotemod.errors import InterfaceError
from remotemod.interface.read import read_interface, read_interfaces
from remotemod.interface.source.discover import walk_package


@pytest.mark.slow
@pytest.mark.parametrize("package", ["torch.ao", "torch.distributed", "torch.testing"])
def test_static_and_live_reading_agree_on_forward(package: str) -> None:
    """Every module class below the package is read; where it can be imported, forward is the same."""
    compared = 0
    for module in walk_package(package):
        assert not module.skipped, module
        for interface in read_interfaces(module.target):
            live = _live(interface.module, interface.qualname)
            if live is not None:
                static = interface.method("forward")
                assert static.arguments == live.method("forward").arguments, interface.qualname
                assert static.returns == live.method("forward").returns, interface.qualname
                compared += 1
    assert compared


def _live(module: str, qualname: str):
    """The live interface; None where the module cannot be imported here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = importlib.import_module(module)
            for part in qualname.split("."):
                found = getattr(found, part)
        except Exception:
            return None
    try:
        return read_interface(found)
    except InterfaceError:
        return None
