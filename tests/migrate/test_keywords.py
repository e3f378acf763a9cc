"""``_module_interface_cls`` becomes ``interface`` wherever a remote module surely takes it."""

from __future__ import annotations

import pytest

from tests.migrate.pairs import migrated, text

IMPORT = "from torch.distributed.nn.api.remote_module import _RemoteModule as RM\n"


@pytest.mark.parametrize(
    "code",
    [
        "RM('a', M, ({}), _module_interface_cls=I)",
        "RM.init_from_module_rref('a', ref, _module_interface_cls=I)",
        "class A(RM):\n    def __init__(self):\n        super().__init__('a', M, _module_interface_cls=I)",
        "class A(RM):\n    def __init__(self):\n        super(A, self).__init__('a', M, _module_interface_cls=I)",
        "class A(RM):\n    def __init__(self):\n        RM.__init__(self, 'a', M, _module_interface_cls=I)",
        "class A(RM): ...\nclass B(A, Mixin):\n    def __init__(self):\n        super().__init__(_module_interface_cls=I)",
        "class A(RM): ...\nA.init_from_module_rref('a', ref, _module_interface_cls=I)",
    ],
)
def test_the_keyword_is_renamed(code: str) -> None:
    """In calls of the class, of its second maker, and of its constructor."""
    expected = f"{IMPORT}{code}\n".replace("_module_interface_cls", "interface")
    expected = expected.replace(
        "torch.distributed.nn.api.remote_module import _", "remotemod import "
    )
    assert migrated(f"{IMPORT}{code}\n") == expected


@pytest.mark.parametrize(
    "code",
    [
        "other('a', _module_interface_cls=I)",
        "dict(_module_interface_cls=I)",
        "def f(RM):\n    RM(_module_interface_cls=I)",
        "RM('a', M, None, None, I)",
        "class A(Mixin, RM):\n    def __init__(self):\n        super().__init__(_module_interface_cls=I)",
        "class A(RM):\n    class B:\n        def __init__(self):\n            super().__init__(_module_interface_cls=I)",
        "class A(RM):\n    def __init__(self, _module_interface_cls=None):\n        pass\nA(_module_interface_cls=I)",
    ],
)
def test_other_keywords_stay(code: str) -> None:
    """Where something else may take it, the keyword is left; remotemod takes the old one as well."""
    assert migrated(f"{IMPORT}{code}\n").endswith(f"\n{code}\n")


def test_our_own_class_sheds_the_old_keyword_too() -> None:
    """Code that moved over by hand is finished."""
    before = "import remotemod as rm\nrm.RemoteModule('a', M, _module_interface_cls=I)\n"
    assert migrated(before) == before.replace("_module_interface_cls", "interface")


def test_layout_is_kept() -> None:
    """Comments and line breaks of the call stay."""
    before = text(
        """
        from torch.distributed.nn.api.remote_module import _RemoteModule

        m = _RemoteModule(
            "a/cuda:0",
            M,
            _module_interface_cls = I,  # scripted
        )
        """
    )
    after = before.replace("_module_interface_cls", "interface").replace(
        "torch.distributed.nn.api.remote_module import _", "remotemod import "
    )
    assert migrated(before) == after.replace("_RemoteModule(", "RemoteModule(")
