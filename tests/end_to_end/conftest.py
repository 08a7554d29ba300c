"""One small run of 40 batches and the wheel, each made once and used by many tests."""

from pathlib import Path

import pytest
from command import SEED, SMALL, Finished, train
from wheels import ROOT, SOURCES, built


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run with every term and part of the seed on."""
    folder = tmp_path_factory.mktemp("trained")
    return train(folder, "demo", *SMALL, *SEED, "--max_batches", "40", "--checkpoint_every", "20")


@pytest.fixture(scope="session")
def by_default(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of the default preset on small pairs."""
    folder = tmp_path_factory.mktemp("by_default")
    options = ("--headless", "--device", "cpu", "--epochs", "1", "--max-batches", "8", "--batch-size", "16")
    small = ("--set", "small_cells=60", "--set", "validation_inputs=12", "--set", "warmup_steps=2")
    return train(folder, "demo", *options, *small)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    return built(ROOT, SOURCES, tmp_path_factory.mktemp("source"))
