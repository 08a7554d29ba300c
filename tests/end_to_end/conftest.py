"""One small run of 40 batches and the wheel, each made once and used by many tests."""

from pathlib import Path

import pytest
from command import SMALL, Finished, train
from wheels import ROOT, SOURCES, built


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("trained")
    return train(folder, "demo", *SMALL, "--max_batches", "40", "--checkpoint_every", "20")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    return built(ROOT, SOURCES, tmp_path_factory.mktemp("source"))
