"""A checkpoint of a system that was trained, and a copy of it to be damaged."""

import shutil
from pathlib import Path

import pytest
from saved_systems import MakeExamples, MakeSystem, save, trained


@pytest.fixture(scope="module")
def pristine(
    make_system: MakeSystem, make_examples: MakeExamples, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A checkpoint of a system that was trained for two steps; not to be changed."""
    system = trained(make_system, make_examples)
    assert len(system.memory) > 0
    return save(system, tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def checkpoint(pristine: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / pristine.name))
