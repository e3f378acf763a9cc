"""The programs in docs/optimizers.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.preloaded import programs

PAGE = Path(__file__).parents[2] / "docs" / "optimizers.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.slow
def test_the_programs_run(tmp_path: Path) -> None:
    """Each Python block is a whole program; the first shows where its parts are."""
    said = []
    for number, code in enumerate(PROGRAMS):
        script = tmp_path / f"{number}.py"
        script.write_text(code)
        done = programs.run([str(script)], load=["torch._dynamo"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "'ps0': 1 parameter\n  here: 2 parameters" in said[0]
