"""The suite that torch ships for its RemoteModule passes with ours in its place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_torchs_own_suite_passes() -> None:
    """All 16 tests pass; ``ancestor_suite.py`` says which assertions ours turns round."""
    suite = Path(__file__).parent / "ancestor_suite.py"
    env = {**os.environ, "TP_SOCKET_IFNAME": "lo", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [sys.executable, str(suite)], env=env, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert "Ran 16 tests" in done.stderr
    assert "skipped" not in done.stderr
