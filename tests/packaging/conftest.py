"""What tests of the packaging share: the scripts on the path, and one build."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel of this tree."""
    from artefacts import source_files
    from package import build

    return build(source_files(), tmp_path_factory.mktemp("build"))
