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


@pytest.fixture(scope="module")
def seen() -> dict[tuple[str, str], str]:
    """What the tests of this module have seen: a cell of the table each."""
    return {}


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
    case: Case, feature: str, seen: dict[tuple[str, str], str]
) -> None:
    """Its results are the local model's, and so are the gradients; those of the remote parameters are there."""
    torch._dynamo.reset()
    seen[feature, case.backend] = "no"
    FEATURES[feature](case)
    seen[feature, case.backend] = "yes"


@pytest.mark.slow
def test_the_page_says_what_was_seen(
    seen: dict[tuple[str, str], str], request: pytest.FixtureRequest
) -> None:
    """The table is written by ``pytest tests/features --update-golden``, and by nobody else."""
    if len(seen) < len(FEATURES) * len(BACKENDS):
        pytest.skip("only some cells of the table were asked for")
    rows = [f"| with gradients | {' | '.join(BACKENDS)} |\n", "|---" * (len(BACKENDS) + 1) + "|\n"]
    for feature in FEATURES:
        rows.append(f"| {feature} | {' | '.join(seen[feature, b] for b in BACKENDS)} |\n")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    table, _, after = rest.partition(END)
    assert BEGIN in PAGE.read_text()
    if request.config.getoption("--update-golden"):
        PAGE.write_text(before + BEGIN + "".join(rows) + END + after)
    else:
        assert table == "".join(rows), (
            "the page is out of date: pytest tests/features --update-golden"
        )
