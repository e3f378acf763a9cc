"""The house has floors: imports point one way, files stay small, each says why it is there."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the ground up; a module may import from its own floor and from those below.
FLOORS = [
    ["remotemod.errors", "remotemod.version", "remotemod.process"],
    ["remotemod.files", "remotemod.hints", "remotemod.objects", "remotemod.timeouts"],
    ["remotemod.torch_compat"],
    ["remotemod.expiry", "remotemod.completion"],
    ["remotemod.requests", "remotemod.future", "remotemod.trees"],
    ["remotemod.waiting"],
    ["remotemod.migrate"],
    ["remotemod.interface"],
    ["remotemod.stub"],
    ["remotemod.codegen"],
    ["remotemod.wire"],
    ["remotemod.autograd"],
    ["remotemod.rpc"],
    ["remotemod.owner"],
    ["remotemod.handles"],
    ["remotemod.optim"],
    ["remotemod.archive"],
    ["remotemod.abi"],
    ["remotemod.backends"],
    ["remotemod", "remotemod.torch_hooks"],
    ["remotemod.testing", "remotemod.bench", "remotemod.doctor"],
    ["remotemod.cli"],
    ["remotemod.__main__"],
]
# The wire knows nothing of interfaces and stubs, and they nothing of it.
APART = [("remotemod.wire", "remotemod.interface"), ("remotemod.wire", "remotemod.stub")]

# cli/ and templates/ are links in a checkout.
FOLDERS = [Path(folder) for folder, _, _ in os.walk(ROOT / "remotemod", followlinks=True)]
FILES = sorted(path for folder in FOLDERS for path in folder.glob("*.py"))


def module_name(path: Path) -> str:
    """The dotted name that a file is imported under."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def floor_of(module: str) -> int:
    """The floor of a module: that of the longest prefix that is listed."""
    best = max(
        (p for floor in FLOORS for p in floor if module == p or module.startswith(p + ".")), key=len
    )
    return next(i for i, floor in enumerate(FLOORS) if best in floor)


def imports_of(path: Path) -> Iterator[str]:
    """What a file imports from remotemod, those for type checkers alone left out."""
    tree = ast.parse(path.read_text())
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    package = (
        module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    )
    for node in ast.walk(tree):
        if id(node) in checking:
            continue
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("remotemod"))
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                base = package.split(".")
                base = base[: len(base) - node.level + 1]
                module = ".".join([*base, *([module] if module else [])])
            if module.startswith("remotemod"):
                yield module


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_down(path: Path) -> None:
    """No file imports from a floor above its own."""
    module = module_name(path)
    for imported in imports_of(path):
        assert floor_of(imported) <= floor_of(module), f"{module} imports {imported}"
        for one, other in APART:
            assert not (module.startswith(one) and imported.startswith(other))
            assert not (module.startswith(other) and imported.startswith(one))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_are_small_and_say_why(path: Path) -> None:
    """Each file has at most about 300 lines and one sentence on top."""
    text = path.read_text()
    assert len(text.splitlines()) <= 350
    doc = ast.get_docstring(ast.parse(text))
    assert doc
    assert doc.strip().split("\n\n")[0].rstrip().endswith(".")


@pytest.mark.skipif(not FILES, reason="the sources do not lie beside the tests")
def test_each_folder_of_python_files_is_a_package() -> None:
    """A folder without ``__init__.py`` would be left out of an install."""
    folders = {path.parent for path in FILES}
    assert {ROOT / "remotemod" / name for name in ("cli", "templates")} <= folders
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_remotemod_costs_nothing() -> None:
    """``import remotemod`` loads neither torch nor the generator's libraries."""
    assert not {"torch", "libcst", "jinja2", "msgspec", "rich"} & loaded_by("import remotemod")


@pytest.mark.slow
def test_owners_need_no_generator() -> None:
    """A worker loads neither jinja2 nor libcst."""
    loaded = loaded_by("import remotemod.backends.processes.preload")
    assert not {"libcst", "jinja2", "remotemod.codegen.render"} & loaded
