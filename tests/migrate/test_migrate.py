"""Whole files and folders: what is read, what is left alone, what is written."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libcst.codemod import CodemodContext, TransformSuccess, transform_module

from remotemod.migrate.migrate import migrate
from remotemod.migrate.rewrite import MigrateRemoteModule
from tests.migrate.pairs import migrated

OLD = "from torch.distributed.nn import RemoteModule\n"
NEW = "from remotemod import RemoteModule\n"

PIECES = [
    OLD,
    "from torch.distributed.nn.api.remote_module import _RemoteModule, RemoteModule as R\n",
    "from torch.distributed.nn.api.remote_module import (\n    _RemoteModule,  # it\n    _param_rrefs,\n)\n",
    "import torch\n",
    "import torch.distributed.nn\n",
    "import torch.distributed.nn as dnn, os\n",
    "from torch.distributed import nn as dnn\n",
    "import remotemod\n",
    "\n\n",
    "# a comment\n",
    "m = _RemoteModule('a', M, _module_interface_cls=I)\n",
    "n = torch.distributed.nn.RemoteModule('a', M)\n",
    "o = dnn.RemoteModule('a', M), R, RemoteModule\n",
    "def f(dnn, remotemod):\n    import torch.distributed.nn as d\n    return dnn.RemoteModule, d.RemoteModule\n",
    "class RemoteModule(dnn.RemoteModule):\n    pass\n",
    "try:\n    import torch.distributed.nn as dnn\nexcept ImportError:\n    dnn = None\n",
    "x = torch.ones(1)\n",
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8), st.booleans())
@pytest.mark.slow
def test_twice_is_once(pieces: list[str], doc: bool) -> None:
    """Whatever the pieces, the result compiles, and a second run changes nothing."""
    migrated("'''Doc.'''\n" * doc + "".join(pieces))


@pytest.mark.slow
def test_torchs_own_tests_move_over() -> None:
    """torch's test file for RemoteModule compiles afterwards, without torch's class in it."""
    spec = find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "testing/_internal/distributed/nn/api/remote_module_test.py"
    before = path.read_text(encoding="utf-8")
    after = migrated(before)
    assert OLD in before
    assert NEW in after
    assert "torch.distributed.nn import RemoteModule" not in after
    assert "_RemoteModule" not in after
    assert "_module_interface_cls" not in after
    assert "interface=MyModuleInterface" in after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (OLD.replace("\n", "\r\n") + "x = 1\r\n", NEW.replace("\n", "\r\n") + "x = 1\r\n"),
        ("\ufeff" + OLD, "\ufeff" + NEW),
        (
            "import torch.distributed.nn as d\r\nd.RemoteModule\r\nd.x\r\n",
            "import remotemod\r\nimport torch.distributed.nn as d\r\nremotemod.RemoteModule\r\nd.x\r\n",
        ),
        (OLD + "x = '''a\r\nb\rc'''\n\x0c\ny = 'ü'", NEW + "x = '''a\r\nb\rc'''\n\x0c\ny = 'ü'"),
    ],
)
def test_newlines_and_marks_are_kept(tmp_path: Path, before: str, after: str) -> None:
    """CRLF, a byte order mark, form feeds and a missing last newline stay as they are."""
    path = tmp_path / "m.py"
    path.write_bytes(before.encode())
    [outcome] = migrate([path], write=True)
    assert outcome.status == "changed"
    assert path.read_bytes() == after.encode()


def test_the_encoding_is_kept(tmp_path: Path) -> None:
    """A file in Latin-1 is one afterwards."""
    path = tmp_path / "m.py"
    path.write_bytes(b"# coding: latin-1\nname = '\xfc'\n" + OLD.encode())
    migrate([path], write=True)
    assert path.read_bytes() == b"# coding: latin-1\nname = '\xfc'\n" + NEW.encode()


def test_what_does_not_change_is_not_written(tmp_path: Path) -> None:
    """Not a byte and not a time of a file without torch's class, nor of any in a second run."""
    (tmp_path / "odd.py").write_bytes(b"x  =  1 ;\r\n# RemoteModule\n\ty")
    (tmp_path / "mine.py").write_text("x = 'RemoteModule'\n")
    (tmp_path / "done.py").write_text(OLD)
    migrate([tmp_path / "done.py"], write=True)
    stamps = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.iterdir()}
    outcomes = migrate([tmp_path / "mine.py", tmp_path / "done.py"], write=True)
    assert [o.status for o in outcomes] == ["unchanged", "unchanged"]
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.iterdir()} == stamps


def test_without_write_nothing_is_written(tmp_path: Path) -> None:
    """The diff says what would change, in a form that patch applies."""
    path = tmp_path / "m.py"
    path.write_bytes((OLD + "x = 1").encode())
    [outcome] = migrate([path])
    assert path.read_bytes() == (OLD + "x = 1").encode()
    assert f"-{OLD}+{NEW}" in outcome.diff
    assert outcome.diff.endswith(" x = 1\n\\ No newline at end of file\n")


def test_folders_are_searched_for_sources(tmp_path: Path) -> None:
    """Hidden folders, environments, caches and foreign modules are left out; stub files are in."""
    ours = ["a.py", "b.pyi", "pkg/c.py", "build/d.py"]
    others = [".git/a.py", "__pycache__/a.py", "web/node_modules/a.py", "env/lib/a.py", "a.txt"]
    for name in [*ours, *others, "env/pyvenv.cfg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(OLD)
    outcomes = migrate([tmp_path, tmp_path / "a.py"], write=True)
    assert sorted(str(o.path.relative_to(tmp_path)) for o in outcomes) == sorted(ours)
    assert all((tmp_path / name).read_text() == NEW for name in ours)
    assert all((tmp_path / name).read_text() == OLD for name in others)


def test_links_and_permissions_stay(tmp_path: Path) -> None:
    """A link still points to its file, and a script can still be run."""
    script = tmp_path / "tool"
    script.write_text("#!/usr/bin/env python3\n" + OLD)
    script.chmod(0o750)
    link = tmp_path / "link.py"
    link.symlink_to("tool")
    [outcome] = migrate([link], write=True)
    assert outcome.status == "changed"
    assert link.is_symlink()
    assert script.read_text().endswith(NEW)
    assert script.stat().st_mode & 0o777 == 0o750
    assert sorted(os.listdir(tmp_path)) == ["link.py", "tool"]


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (OLD.encode() + b"def f(:\n", 2, "cannot be parsed as Python"),
        (OLD.encode() + b"x = '\xfc'\n", 2, "is not utf-8"),
        (b"# coding: nonsense\n" + OLD.encode(), 1, "no readable encoding"),
        (OLD.encode() + b"x = \x00\n", 2, "cannot be parsed as Python"),
        (OLD.encode() + b"x = 'abc\ny\n", 2, "unterminated string"),
    ],
)
def test_what_is_no_python_fails_alone(tmp_path: Path, data: bytes, line: int, said: str) -> None:
    """The error says where and what, and the other files are done."""
    (tmp_path / "bad.py").write_bytes(data)
    (tmp_path / "good.py").write_text(OLD)
    bad, good = migrate([tmp_path], write=True)
    assert bad.error is not None
    assert said in bad.error.what
    assert bad.error.line == line
    assert good.status == "changed"
    assert (tmp_path / "bad.py").read_bytes() == data


def test_templates_beside_the_sources_do_no_harm(tmp_path: Path) -> None:
    """In a folder, what does not mention remote modules need not be Python; named, it must be."""
    template = tmp_path / "template.py"
    template.write_text("class {{ name }}:\n")
    assert [o.status for o in migrate([tmp_path])] == ["unchanged"]
    assert [o.status for o in migrate([template])] == ["failed"]


def test_libcst_runs_it_too() -> None:
    """It is a codemod like others; remarks are its warnings."""
    done = transform_module(
        MigrateRemoteModule(CodemodContext()), OLD + "x = RemoteModule('a', M).eval()\n"
    )
    assert isinstance(done, TransformSuccess)
    assert done.code.startswith(NEW)
    [warning] = done.warning_messages
    assert warning.startswith("line 2: the result of `eval()`")


def test_the_migration_needs_neither_torch_nor_the_generator() -> None:
    """Only libcst is loaded, and that only when a file mentions the class."""
    code = (
        "import sys, remotemod.migrate.migrate as m; print('libcst' in sys.modules); "
        "import remotemod.migrate.rewrite; "
        "print(sorted({'torch', 'jinja2', 'remotemod.interface'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n[]\n"
