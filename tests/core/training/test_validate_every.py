"""How often a run validates."""

from pathlib import Path

import pytest
from small_run import new_run, told, train


@pytest.mark.parametrize(("epochs", "every", "steps"), [(4, 2, [12, 24]), (3, 2, [12, 18]), (2, 1, [6, 12])])
def test_a_run_validates_every_so_many_epochs_and_after_the_last(
    tmp_path: Path, epochs: int, every: int, steps: list[int]
):
    run = new_run(tmp_path, epochs=epochs, validate_every=every, validate_on="training")
    train(run)
    assert [event["step"] for event in told(run, "validation")] == steps
