"""The table of what works where in ``docs/compiling.md`` is what these tests see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import remotemod as rm
from tests.examples.strangers import ROOT
from tests.features.capture import FEATURES, Case

BACKENDS = ["inproc", "shm", "torch_rpc"]
PAGE = ROOT / "docs" / "compiling.md"
BEGIN, END = "<!-- table: written by tests/features -->\n", "<!-- end of table -->\n"


def table() -> dict[tuple[str, str], str]:
    """The cells of the page's table, by feature and backend."""
    _, _, rest = PAGE.read_text().partition(BEGIN)
    text, found_end, _ = rest.partition(END)
    assert found_end, f"{PAGE.name} has lost the marks around its table"
    head, _, *rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()
    ]
    return {
        (row[0], backend): cell
        for row in rows
        for backend, cell in zip(head[1:], row[1:], strict=True)
    }


def write(cells: dict[tuple[str, str], str]) -> None:
    """Puts a table of these cells into the page; what was not seen is a question mark."""
    rows = [f"| with gradients | {' | '.join(BACKENDS)} |\n", "|---" * (len(BACKENDS) + 1) + "|\n"]
    for feature in FEATURES:
        rows.append(
            f"| {feature} | {' | '.join(cells.get((feature, b), '?') for b in BACKENDS)} |\n"
        )
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + "".join(rows) + END + rest.partition(END)[2])


@pytest.fixture(scope="module", params=BACKENDS)
def case(
    request: pytest.FixtureRequest, fork_server: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    """The model on a backend."""
    folder: Path = tmp_path_factory.mktemp("features")
    with rm.launch(workers=["ps0", "ps1"], backend=request.param) as cluster:
        yield Case(request.param, cluster, folder)


@pytest.mark.slow
@pytest.mark.parametrize("feature", FEATURES)
def test_a_captured_model_answers_and_learns(
    case: Case, feature: str, request: pytest.FixtureRequest
) -> None:
    """Its results are the local model's, and so are the gradients; those of the remote parameters are there.

    The page says so of each. The table is written by ``pytest tests/features --update-golden`` in one process,
    and by nobody else.
    """
    torch._dynamo.reset()
    error: Exception | None = None
    try:
        FEATURES[feature](case)
    except Exception as raised:  # a cell that says "no"
        error = raised
    cell = "no" if error else "yes"
    if request.config.getoption("--update-golden"):
        write({**table(), (feature, case.backend): cell})
    elif table().get((feature, case.backend)) != cell:
        raise AssertionError(
            f"the page does not say {cell!r}: pytest tests/features --update-golden"
        ) from error
    if error:
        raise error


def test_the_page_has_a_cell_for_each_feature_and_backend() -> None:
    """Neither a row that no test sees, nor a feature or a backend that the page leaves out."""
    assert list(table()) == [(feature, backend) for feature in FEATURES for backend in BACKENDS]
