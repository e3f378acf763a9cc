"""``torch.distributed.nn.RemoteModule`` and its short forms."""

from __future__ import annotations

import pytest

from tests.migrate.pairs import migrated, text

PAIRS = {
    "in full": (
        """
        '''Doc.'''

        import torch
        import torch.distributed.nn

        m = torch.distributed.nn.RemoteModule("a", M)
        x = torch.ones(1)
        """,
        """
        '''Doc.'''

        import remotemod
        import torch

        m = remotemod.RemoteModule("a", M)
        x = torch.ones(1)
        """,
    ),
    "in full, the import still needed": (
        """
        import torch.distributed.nn

        m = torch.distributed.nn.RemoteModule("a", M)
        x = torch.ones(1)
        """,
        """
        import remotemod
        import torch.distributed.nn

        m = remotemod.RemoteModule("a", M)
        x = torch.ones(1)
        """,
    ),
    "through a short name": (
        """
        # Licence.
        from __future__ import annotations

        import os

        import torch.distributed.nn as dnn
        from mine import M

        class A(dnn.RemoteModule):
            pass

        def f(m: dnn.RemoteModule) -> bool:
            return isinstance(m, dnn.RemoteModule)
        """,
        """
        # Licence.
        from __future__ import annotations

        import remotemod
        import os

        from mine import M

        class A(remotemod.RemoteModule):
            pass

        def f(m: remotemod.RemoteModule) -> bool:
            return isinstance(m, remotemod.RemoteModule)
        """,
    ),
    "through a name that others use": (
        """
        import torch.distributed as dist

        dist.init_process_group()
        m = dist.nn.RemoteModule("a", M)
        """,
        """
        import remotemod
        import torch.distributed as dist

        dist.init_process_group()
        m = remotemod.RemoteModule("a", M)
        """,
    ),
    "through a module of several": (
        """
        from torch.distributed import nn as dnn, rpc

        rpc.shutdown()
        m = dnn.RemoteModule.init_from_module_rref("a", ref)
        """,
        """
        import remotemod
        from torch.distributed import rpc

        rpc.shutdown()
        m = remotemod.RemoteModule.init_from_module_rref("a", ref)
        """,
    ),
    "the private class": (
        """
        from torch.distributed.nn.api import remote_module

        m = remote_module._RemoteModule("a", M, _module_interface_cls=I)
        """,
        """
        import remotemod

        m = remotemod.RemoteModule("a", M, interface=I)
        """,
    ),
    "in a function": (
        """
        def f():
            import torch.distributed.nn as dnn
            return dnn.RemoteModule("a", M)
        """,
        """
        import remotemod

        def f():
            return remotemod.RemoteModule("a", M)
        """,
    ),
    "behind a docstring and nothing else": (
        """
        '''Doc.'''


        def f():
            import torch.distributed.nn as dnn

            return dnn.RemoteModule("a", M)
        """,
        """
        '''Doc.'''

        import remotemod


        def f():

            return remotemod.RemoteModule("a", M)
        """,
    ),
    "with remotemod at hand": (
        """
        import remotemod as rm
        import torch.distributed.nn as dnn

        with rm.launch():
            dnn.RemoteModule("a", M)
        """,
        """
        import remotemod as rm

        with rm.launch():
            rm.RemoteModule("a", M)
        """,
    ),
    "with remotemod at hand too late": (
        "import torch.distributed.nn as dnn\nm = dnn.RemoteModule('a', M)\nimport remotemod as rm\n",
        "import remotemod\nm = remotemod.RemoteModule('a', M)\nimport remotemod as rm\n",
    ),
    "with a variable called remotemod": (
        "import torch.distributed.nn as dnn\ndef f(remotemod):\n    return dnn.RemoteModule(remotemod, M)\n",
        "import remotemod as _remotemod\ndef f(remotemod):\n    return _remotemod.RemoteModule(remotemod, M)\n",
    ),
    "with an attribute called remotemod": (
        "import torch.distributed.nn as dnn\nf(x.remotemod, remotemod=dnn.RemoteModule)\n",
        "import remotemod\nf(x.remotemod, remotemod=remotemod.RemoteModule)\n",
    ),
    "with a comment on the import": (
        "import torch.distributed.nn as dnn  # noqa: F401\n\ndnn.RemoteModule('a', M)\n",
        "import remotemod\nimport torch.distributed.nn as dnn  # noqa: F401\n\nremotemod.RemoteModule('a', M)\n",
    ),
    "with the module exported": (
        "import torch.distributed.nn as dnn\n__all__ = ['dnn']\ndnn.RemoteModule('a', M)\n",
        "import remotemod\nimport torch.distributed.nn as dnn\n__all__ = ['dnn']\n"
        "remotemod.RemoteModule('a', M)\n",
    ),
    "with a quoted annotation": (
        "import torch.distributed.nn as dnn\ndef f(m: 'dnn.RemoteModule'): ...\ndnn.RemoteModule\n",
        "import remotemod\nimport torch.distributed.nn as dnn\n"
        "def f(m: 'dnn.RemoteModule'): ...\nremotemod.RemoteModule\n",
    ),
    "with a probe": (
        "try:\n    import torch.distributed.nn as dnn\nexcept ImportError:\n    raise\ndnn.RemoteModule\n",
        "import remotemod\n\ntry:\n    import torch.distributed.nn as dnn\nexcept ImportError:\n"
        "    raise\nremotemod.RemoteModule\n",
    ),
    "two imports that go, the first behind a blank line": (
        "import os\n\nfrom torch.distributed import nn as a\nimport torch.distributed.nn as b\n"
        "a.RemoteModule, b.RemoteModule\n",
        "import remotemod\nimport os\n\nremotemod.RemoteModule, remotemod.RemoteModule\n",
    ),
    "over several lines": (
        "import torch.distributed.nn as dnn\nx = (\n    dnn\n    .RemoteModule('a', M)\n)\n",
        "import remotemod\nx = (\n    remotemod\n    .RemoteModule('a', M)\n)\n",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_uses_say_remotemod(name: str) -> None:
    """The use is rewritten, remotemod imported, and an import that nothing needs any more is gone."""
    before, after = map(text, PAIRS[name])
    assert migrated(before) == after


@pytest.mark.parametrize(
    "code",
    [
        "def f(dnn):\n    return dnn.RemoteModule",
        "def f():\n    dnn = other()\n    return dnn.RemoteModule",
        "def f():\n    import mine as dnn\n    return dnn.RemoteModule",
        "x = [dnn.RemoteModule for dnn in y]",
        "x = lambda dnn: dnn.RemoteModule",
        "def f(x):\n    with x as dnn:\n        return dnn.RemoteModule",
        "def f(x):\n    match x:\n        case {**dnn}:\n            return dnn.RemoteModule",
        "def f(x):\n    any(dnn := y for y in x)\n    return dnn.RemoteModule",
        "class A:\n    dnn = other\n    x = dnn.RemoteModule",
        "if x:\n    dnn = other\ndnn.RemoteModule",
        "dnn.functional.RemoteModule",
        "x.dnn.RemoteModule",
        "dnn().RemoteModule",
    ],
)
def test_other_things_of_that_name_stay(code: str) -> None:
    """A use is rewritten only where it surely means torch's module."""
    before = f"import torch.distributed.nn as dnn\n{code}\n"
    assert migrated(before) == before


def test_a_hidden_torch_is_not_torch() -> None:
    """A dotted name is looked up by its first part."""
    before = (
        "import torch.distributed.nn\ndef f(torch):\n    return torch.distributed.nn.RemoteModule\n"
    )
    assert migrated(before) == before


def test_class_bodies_do_not_hide() -> None:
    """Methods look past the class that they are in."""
    before = "import torch.distributed.nn as dnn\nclass A:\n    dnn = 1\n    def f(self):\n        return {}\n"
    after = before.format("remotemod.RemoteModule").replace(
        "torch.distributed.nn as dnn", "remotemod"
    )
    assert migrated(before.format("dnn.RemoteModule")) == after
