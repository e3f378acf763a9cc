"""``from torch… import RemoteModule`` in every shape that an import has."""

from __future__ import annotations

import pytest

from tests.migrate.pairs import migrated, text

PAIRS = {
    "plain": (
        "from torch.distributed.nn import RemoteModule\n",
        "from remotemod import RemoteModule\n",
    ),
    "from its home": (
        "from torch.distributed.nn.api.remote_module import RemoteModule\n",
        "from remotemod import RemoteModule\n",
    ),
    "under another name": (
        "from torch.distributed.nn import RemoteModule as RM  # short\nRM('a', M)\n",
        "from remotemod import RemoteModule as RM  # short\nRM('a', M)\n",
    ),
    "the private class under another name": (
        "from torch.distributed.nn.api.remote_module import _RemoteModule as RM\n",
        "from remotemod import RemoteModule as RM\n",
    ),
    "the private class under the public name": (
        "from torch.distributed.nn.api.remote_module import _RemoteModule as RemoteModule\n",
        "from remotemod import RemoteModule\n",
    ),
    "on several lines, comments kept": (
        """
        from torch.distributed.nn.api.remote_module import (
            # above
            RemoteModule,  # beside
            # below
        )
        """,
        """
        from remotemod import (
            # above
            RemoteModule,  # beside
            # below
        )
        """,
    ),
    "with a name that stays": (
        "import os\n\nfrom torch.distributed.nn import RemoteModule, functional\n",
        "import os\n\nfrom remotemod import RemoteModule\nfrom torch.distributed.nn import functional\n",
    ),
    "last of the names": (
        "from torch.distributed.nn import (functional, RemoteModule)\n",
        "from remotemod import RemoteModule\nfrom torch.distributed.nn import (functional)\n",
    ),
    "with names that stay, comments kept": (
        """
        # remote things
        from torch.distributed.nn.api.remote_module import (  # opening
            # first
            _create_module,  # makes one
            # second
            RemoteModule,  # the class
            # third
            _param_rrefs,  # parameters
            # end
        )  # closing
        """,
        """
        # remote things
        # second
        from remotemod import RemoteModule  # the class
        from torch.distributed.nn.api.remote_module import (  # opening
            # first
            _create_module,  # makes one
            # third
            _param_rrefs,  # parameters
            # end
        )  # closing
        """,
    ),
    "last on its own line without a comma": (
        """
        from torch.distributed.nn import (
            functional,  # sums
            RemoteModule  # far away
        )
        """,
        """
        from remotemod import RemoteModule  # far away
        from torch.distributed.nn import (
            functional  # sums
        )
        """,
    ),
    "over a backslash": (
        "from torch.distributed.nn import RemoteModule, \\\n    functional\n",
        "from remotemod import RemoteModule\nfrom torch.distributed.nn import functional\n",
    ),
    "pragmas go with both halves": (
        "x = 1\nfrom torch.distributed.nn import functional, RemoteModule  # noqa: E402\n",
        "x = 1\nfrom remotemod import RemoteModule  # noqa: E402\n"
        "from torch.distributed.nn import functional  # noqa: E402\n",
    ),
    "in a function": (
        """
        def build():
            '''Builds.'''

            from torch.distributed.nn import RemoteModule, functional

            return RemoteModule("a", M), functional
        """,
        """
        def build():
            '''Builds.'''

            from remotemod import RemoteModule
            from torch.distributed.nn import functional

            return RemoteModule("a", M), functional
        """,
    ),
    "in a try": (
        """
        try:
            from torch.distributed.nn import RemoteModule
        except ImportError:
            RemoteModule = None
        """,
        """
        try:
            from remotemod import RemoteModule
        except ImportError:
            RemoteModule = None
        """,
    ),
    "for type checkers": (
        """
        from typing import TYPE_CHECKING

        if TYPE_CHECKING:
            from torch.distributed.nn import RemoteModule


        def f(m: "RemoteModule") -> None:
            assert isinstance(m, object)
        """,
        """
        from typing import TYPE_CHECKING

        if TYPE_CHECKING:
            from remotemod import RemoteModule


        def f(m: "RemoteModule") -> None:
            assert isinstance(m, object)
        """,
    ),
    "on a shared line": (
        "import os; from torch.distributed.nn import functional, RemoteModule; os.getcwd()\n",
        "import os; from remotemod import RemoteModule; "
        "from torch.distributed.nn import functional; os.getcwd()\n",
    ),
    "behind a colon": (
        "if True: from torch.distributed.nn import functional, RemoteModule\n",
        "if True: from remotemod import RemoteModule; from torch.distributed.nn import functional\n",
    ),
    "both classes at once": (
        "from torch.distributed.nn.api.remote_module import RemoteModule, _RemoteModule\n"
        "class A(_RemoteModule): ...\nclass B(RemoteModule): ...\n",
        "from remotemod import RemoteModule\nclass A(RemoteModule): ...\nclass B(RemoteModule): ...\n",
    ),
    "both classes one after the other": (
        """
        from torch.distributed.nn import RemoteModule
        from torch.distributed.nn.api.remote_module import _RemoteModule

        made = _RemoteModule("a", M), RemoteModule("b", M)
        """,
        """
        from remotemod import RemoteModule

        made = RemoteModule("a", M), RemoteModule("b", M)
        """,
    ),
    "the name on one line, `as` on the next": (
        """
        from torch.distributed.nn import (RemoteModule
            as RM, functional)
        """,
        """
        from remotemod import RemoteModule as RM
        from torch.distributed.nn import (functional)
        """,
    ),
    "`as` on one line, the new name on the next": (
        """
        from torch.distributed.nn import (
            # above
            RemoteModule as  # torch's
                RM,  # behind
            functional,
        )
        """,
        """
        # above
        # torch's
        from remotemod import RemoteModule as RM  # behind
        from torch.distributed.nn import (
            functional,
        )
        """,
    ),
    "`as` behind a backslash": (
        "from torch.distributed.nn import RemoteModule \\\n    as RM, functional\n",
        "from remotemod import RemoteModule as RM\nfrom torch.distributed.nn import functional\n",
    ),
    "all names, `as` on the next line": (
        "from torch.distributed.nn import (RemoteModule  # torch's\n    as RM)\n",
        "from remotemod import (RemoteModule  # torch's\n    as RM)\n",
    ),
    "the private class under the public name, with a comment between": (
        "from torch.distributed.nn.api.remote_module import (_RemoteModule  # it\n    as RemoteModule)\n",
        "from remotemod import (RemoteModule  # it\n    as RemoteModule)\n",
    ),
    "on a shared line, `as` on the next": (
        "import os; from torch.distributed.nn import (RemoteModule\n    as RM, functional)\n",
        "import os; from remotemod import RemoteModule as RM; "
        "from torch.distributed.nn import (functional)\n",
    ),
    "no last newline": (
        "from torch.distributed.nn import RemoteModule",
        "from remotemod import RemoteModule",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_class_comes_from_us(name: str) -> None:
    """The class moves, under the name that it had; everything else stays where it was."""
    before, after = map(text, PAIRS[name])
    assert migrated(before) == after


@pytest.mark.parametrize(
    "line",
    [
        "from torch.distributed.nn import functional",
        "from .torch.distributed.nn import RemoteModule",
        "from mine.torch.distributed.nn import RemoteModule",
        "from remotemod import RemoteModule",
        "from torch.distributed.nn import *",
        "import torch.distributed.nn",
        "x = 'from torch.distributed.nn import RemoteModule'",
        "# from torch.distributed.nn import RemoteModule",
    ],
)
def test_other_lines_stay(line: str) -> None:
    """What is not an import of torch's class stays as it is."""
    assert migrated(line + "\n") == line + "\n"
