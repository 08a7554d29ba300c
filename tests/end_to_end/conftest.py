"""One small run of 40 batches, trained once and read by many tests."""

import pytest
from command import SMALL, Finished, train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("trained")
    return train(folder, "demo", *SMALL, "--max_batches", "40", "--checkpoint_every", "20")
