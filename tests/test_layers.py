"""The house has floors: imports point one way, files stay small, each says why it is there."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from house import cycles, imports, modules  # noqa: E402
from picture import PAGE, picture  # noqa: E402

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

# Who may import late, and why; all other imports stand on top of their file.
LATE = {
    "remotemod.archive.plain": "most files that torch loads are no archives of ours",
    "remotemod.bench": "what a run does not measure it does not load",
    "remotemod.backends.processes.server": "the process that forks workers loads for them what was asked for",
    "remotemod.backends.serialization": "few models are ever sent",
    "remotemod.backends.torch_rpc.door": "every process asks the door for its agent",
    "remotemod.backends.torch_rpc.native": "jinja2 loads when what TorchScript runs is rendered",
    "remotemod.backends.torch_rpc.serialization": "few models are ever sent",
    "remotemod.cli": "--help answers before torch, libcst and jinja2 are loaded",
    "remotemod.codegen": "libcst and jinja2 load when something is read or rendered",
    "remotemod.doctor": "it says what is missing instead of failing over it",
    "remotemod.handles": "jinja2 loads when a stub is rendered, and dynamo must not trace what traces",
    "remotemod.handles.tracing.declared": "the operators are declared with torch, and few programs run them",
    "remotemod.interface": "libcst, and torch where source is read, load when they are needed",
    "remotemod.migrate": "libcst loads when a file is read",
    "remotemod.owner.build": "few owners read interfaces",
    "remotemod.testing": "pytest loads for those who test",
    "remotemod.torch_hooks": "import remotemod loads nothing, and torch is prepared when it is there",
}
# Who may import from above for that reason: what torch is told of stands below what it calls.
UPWARD = {
    ("remotemod.handles.tracing.declared", "remotemod.handles.tracing.operators"),
}

MODULES = modules(ROOT)  # those of cli/ and templates/ too, which are links in a checkout
GRAPH = imports(MODULES)
with_sources = pytest.mark.skipif(not MODULES, reason="the sources do not lie beside the tests")


def floor_of(module: str) -> int:
    """The floor of a module: that of the longest prefix that is listed."""
    listed = longest(module, [prefix for floor in FLOORS for prefix in floor])
    return next(i for i, floor in enumerate(FLOORS) if listed in floor)


def longest(module: str, prefixes: list[str]) -> str:
    """The longest of the prefixes that a module has."""
    return max((p for p in prefixes if f"{module}.".startswith(f"{p}.")), key=len, default="")


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    """No file imports from a floor above its own, in a function and for type checkers neither."""
    for imported, _, line in GRAPH[module]:
        if module != "remotemod" and (module, imported) not in UPWARD:
            assert floor_of(imported) <= floor_of(module), f"{module}:{line} imports {imported}"
        for one, other in APART:
            assert not (module.startswith(one) and imported.startswith(other))
            assert not (module.startswith(other) and imported.startswith(one))


@with_sources
def test_no_files_import_each_other() -> None:
    """Inside a floor too there is no cycle, whatever kind of import it is made of."""
    graph = {
        module: [edge for edge in edges if (module, edge[0]) not in UPWARD]
        for module, edges in GRAPH.items()
        if module != "remotemod"  # the names that users import, each from its room
    }
    graph = {m: [e for e in edges if e[0] != "remotemod"] for m, edges in graph.items()}
    assert cycles(graph, {"top", "type", "late"}) == []


@with_sources
def test_each_late_import_has_a_reason() -> None:
    """And each reason stands for an import that there is."""
    late = {
        module for module, edges in GRAPH.items() if any(kind == "late" for _, kind, _ in edges)
    }
    reasons = {module: longest(module, list(LATE)) for module in late}
    assert not [module for module, reason in reasons.items() if not reason]
    assert set(reasons.values()) == set(LATE)


@with_sources
def test_the_picture_shows_the_imports() -> None:
    """``python scripts/picture.py`` draws it anew in docs/architecture.md."""
    assert picture(GRAPH) in PAGE.read_text()


@pytest.mark.parametrize("module", MODULES)
def test_files_are_small_and_say_why(module: str) -> None:
    """Each file has at most about 300 lines and one sentence on top."""
    text = MODULES[module].read_text()
    assert len(text.splitlines()) <= 350
    doc = ast.get_docstring(ast.parse(text))
    assert doc
    assert doc.strip().split("\n\n")[0].rstrip().endswith(".")


@with_sources
def test_each_folder_of_python_files_is_a_package() -> None:
    """A folder without ``__init__.py`` would be left out of an install."""
    folders = {path.parent for path in MODULES.values()}
    assert {ROOT / "remotemod" / name for name in ("cli", "templates")} <= folders
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


# Where a backend's name may stand: its own room, the table of rooms, and those that measure or test them.
NAMING = (
    "remotemod.backends",
    "remotemod.owner.inproc",
    "remotemod.rpc.registry",
    "remotemod.bench",
    "remotemod.testing",
)


@with_sources
def test_nobody_asks_for_a_backend_by_name() -> None:
    """What is above the seam works on any engine: no text there is a backend's name."""
    names = {"shm", "inproc", "torch_rpc", "torchrpc", "pipes"}
    asked = [
        f"{module}:{node.lineno} {node.value}"
        for module, path in MODULES.items()
        if not longest(module, list(NAMING))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert asked == []


@with_sources
def test_nobody_imports_an_engine_but_the_door_of_its_backend() -> None:
    """The rooms of engines are found by the registry; ``rm.empty`` alone is a name out of one."""
    public = {"remotemod.backends", "remotemod.backends.base"}
    entered = {
        (module, imported)
        for module, edges in GRAPH.items()
        if not module.startswith("remotemod.backends")
        for imported, _, _ in edges
        if imported.startswith("remotemod.backends.") and imported not in public
    }
    assert entered == {("remotemod", "remotemod.backends.shm.heap")}


@with_sources
def test_the_contract_for_backends_uses_public_names() -> None:
    """A stranger's backend is tested by what a stranger can use: ``remotemod`` itself, and no private name."""
    contract = [module for module in MODULES if module.startswith("remotemod.testing.")]
    inner = {
        (module, imported)
        for module in contract
        for imported, _, _ in GRAPH[module]
        if imported != "remotemod" and not imported.startswith("remotemod.testing")
    }
    assert inner == set()
    used = [
        f"{module}:{node.lineno} {node.attr}"
        for module in contract
        for node in ast.walk(ast.parse(MODULES[module].read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and getattr(node.value, "id", "") not in ("self", "cls")
    ]
    assert used == []


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
