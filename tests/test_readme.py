"""The README's example is a program that runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.slow
def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    """The first Python block is a whole program."""
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]
    script = tmp_path / "example.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([1, 8, 32])" in done.stdout
    assert float(done.stdout.split()[0]) < 0.05  # it has learnt its eight ratings
    assert "on='ps1'" in done.stdout
