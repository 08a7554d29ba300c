"""What all tests share: a folder that another user reaches."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from another_user import NOBODY


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that every user reaches and `another_user` owns; those of pytest are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder.resolve()
