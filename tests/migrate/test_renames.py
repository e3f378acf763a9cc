"""Uses of torch's ``_RemoteModule``: renamed where nothing stands in the way."""

from __future__ import annotations

import pytest

from tests.migrate.pairs import migrated, text

HOME = "from torch.distributed.nn.api.remote_module import _RemoteModule\n"
OURS = "from remotemod import RemoteModule\n"
KEPT = "from remotemod import RemoteModule as _RemoteModule\n"


@pytest.mark.parametrize(
    "use",
    [
        "m = {}('a', M)",
        "class Mine({}):\n    pass",
        "def f(m: {}) -> list[{}]:\n    return isinstance(m, ({}, int))",
        "m = {}.init_from_module_rref('a', ref)",
        "f'{{{}}}'",
        "def f():\n    return lambda x={}: [{} for _ in x]",
    ],
)
def test_uses_are_renamed(use: str) -> None:
    """Calls, bases, annotations and the rest say ``RemoteModule``."""
    names = use.count("{}")
    before = use.format(*["_RemoteModule"] * names)
    after = use.format(*["RemoteModule"] * names)
    assert migrated(f"{HOME}{before}\n") == f"{OURS}{after}\n"


@pytest.mark.parametrize(
    "code",
    [
        "class RemoteModule(_RemoteModule):\n    pass",
        "def f(RemoteModule):\n    return _RemoteModule",
        "def f():\n    RemoteModule = 1\n    return _RemoteModule",
        "from mine import RemoteModule\n_RemoteModule",
        "from mine import *\n_RemoteModule, RemoteModule",
        "def f(x):\n    match x:\n        case [*RemoteModule]:\n            return _RemoteModule",
        "def f():\n    from torch.distributed.nn import RemoteModule\n    return _RemoteModule",
    ],
)
def test_a_taken_name_is_not_taken_again(code: str) -> None:
    """Where ``RemoteModule`` means something else, the class keeps the name that it had."""
    after = migrated(f"{HOME}{code}\n")
    assert after == KEPT + code.replace("torch.distributed.nn", "remotemod") + "\n"


@pytest.mark.parametrize(
    "code",
    [
        "",
        "__all__ = ['_RemoteModule']",
        "def f(m: '_RemoteModule'): ...\n_RemoteModule",
        "def f():\n    global _RemoteModule\n    _RemoteModule = None",
        "if not x:\n    _RemoteModule = None\n_RemoteModule",
        "m = f()  # type: _RemoteModule\n_RemoteModule",
        "def f(x):\n    match x:\n        case _RemoteModule:\n            return _RemoteModule",
        "def f(xs):\n    del _RemoteModule\n    return _RemoteModule",
    ],
)
def test_a_name_that_others_may_need_is_kept(code: str) -> None:
    """Rebound, quoted, exported or unused: the name stays, and what stands behind it is ours."""
    assert migrated(f"{HOME}{code}\n") == f"{KEPT}{code}\n"


def test_a_package_keeps_its_names() -> None:
    """What an ``__init__.py`` imports is there for others."""
    code = f"{HOME}_RemoteModule\n"
    assert migrated(code, "pkg/__init__.py") == f"{KEPT}_RemoteModule\n"


def test_a_class_attribute_keeps_its_name() -> None:
    """An import in a class body binds an attribute, which is reached from elsewhere."""
    before = "class A:\n    {}    x = _RemoteModule\n"
    assert migrated(before.format(HOME)) == before.format(KEPT)


def test_shadowed_names_are_left_alone() -> None:
    """An inner variable of the same name is another thing."""
    before = """
        from torch.distributed.nn.api.remote_module import _RemoteModule

        _RemoteModule("a", M)


        def f(_RemoteModule):
            return _RemoteModule("b", M, _module_interface_cls=I)
        """
    after = text(before).replace(
        "torch.distributed.nn.api.remote_module import _", "remotemod import "
    )
    after = after.replace('_RemoteModule("a"', 'RemoteModule("a"')
    assert migrated(text(before)) == after


def test_functions_are_renamed_each_for_itself() -> None:
    """Imports in two functions are two names."""
    before = """
        def f():
            from torch.distributed.nn.api.remote_module import _RemoteModule
            return _RemoteModule("a", M)

        def g():
            from torch.distributed.nn.api.remote_module import _RemoteModule
            _RemoteModule = wrap(_RemoteModule)
            return _RemoteModule("a", M)
        """
    after = """
        def f():
            from remotemod import RemoteModule
            return RemoteModule("a", M)

        def g():
            from remotemod import RemoteModule as _RemoteModule
            _RemoteModule = wrap(_RemoteModule)
            return _RemoteModule("a", M)
        """
    assert migrated(text(before)) == text(after)
