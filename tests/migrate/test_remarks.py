"""What cannot be rewritten is said, with its line, and nothing else is."""

from __future__ import annotations

import pytest

from tests.migrate.pairs import remarks

IMPORT = "from torch.distributed.nn import RemoteModule\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "from torch.distributed.nn.api.remote_module import _REMOTE_MODULE_PICKLED_ATTRIBUTES",
            "_REMOTE_MODULE_PICKLED_ATTRIBUTES",
        ),
        (
            "from torch.distributed.nn.jit import instantiator",
            "torch.distributed.nn.jit.instantiator",
        ),
        (
            "import torch.distributed.nn.jit.instantiator as i",
            "torch.distributed.nn.jit.instantiator",
        ),
        ("import torch\ntorch.distributed.nn.jit.instantiator.x", "torch.distributed.nn.jit"),
        ("from torch.distributed.nn import *", "import *"),
        ("RemoteModule('a', M).generated_methods", ".generated_methods"),
        ("RemoteModule._prepare_init", "._prepare_init"),
        ("m = RemoteModule('a', M)\nlocal = m.eval()", "eval()"),
        ("self.m = RemoteModule('a', M)\nsave(self.m.train())", "train()"),
        ("m: RemoteModule = RemoteModule('a', M)\nm.train(False).weight", "train()"),
        ("local = RemoteModule('a', M).eval()", "eval()"),
        ("mock.patch('torch.distributed.nn.RemoteModule')", '"torch.distributed.nn.RemoteModule"'),
        ("import torch.distributed.nn as d\nx: 'list[d.RemoteModule]'", '"d.RemoteModule"'),
        (
            "import torch.distributed.nn as d\nif x:\n    import mine as d\nd.RemoteModule",
            "in some cases",
        ),
        (
            "import torch.distributed.nn as d\nmock.patch.object(d, 'RemoteModule')",
            "looked up in torch's module",
        ),
    ],
)
def test_what_is_left_is_said(code: str, said: str) -> None:
    """One remark, on the line of the thing."""
    [(line, what)] = remarks(IMPORT + code)
    assert said in what
    assert line > 1


@pytest.mark.parametrize(
    "code",
    [
        "m = RemoteModule('a', M)\nm.train()\nm.eval()",
        "m = Other()\nlocal = m.eval()",
        "def f():\n    m = RemoteModule('a', M)\ndef g(m):\n    return m.eval()",
        "def f(m: 'RemoteModule'): ...",
        "'''Uses torch.distributed.nn.RemoteModule\nhere.'''",
        "print('d.RemoteModule')",
        "import torch.distributed.nn as d\nd.functional.all_reduce(x)",
    ],
)
def test_what_works_is_not_remarked(code: str) -> None:
    """No remark on what moves over by itself."""
    assert remarks(IMPORT + code) == []


def test_remarks_come_by_line() -> None:
    """Several remarks are in the order of the text, each said once."""
    code = """
        from torch.distributed.nn.jit import instantiator

        x = m.generated_methods, m.generated_methods
        instantiator.clean()
        """
    assert [line for line, _ in remarks(code)] == [1, 3]
