"""The screening of the solver's variants: what is in its file is not run again, and its table is paired."""

import numpy as np
import pytest

from arc_core.data.tasks import Task
from arc_core.evaluation.pace import Cost, MachinePace
from arc_core.solver.config import SolverConfig
from benchmarks.adaptation import Journal, Result, Trial, table

FIRST, OTHER = Trial("default", 12.0, "none", 0), Trial("steps=3", 12.0, "none", 0)
TRIALS = {FIRST: SolverConfig(), OTHER: SolverConfig(steps=3)}
TASKS = [Task(name, (), ()) for name in "abc"]


def result(log_loss, *, solved=False):
    return Result(log_loss, solved, False, True, 100, 12.5)


def write(journal, trial, task, kept):
    journal.write(trial, task=task, settings=TRIALS[trial].to_dict(), result=vars(kept))


def test_a_result_is_found_again_after_a_restart_under_the_same_settings_alone(tmp_path):
    pace = MachinePace(Cost(0.1, 1e-5), Cost(0.1, 1e-6))
    journal = Journal(tmp_path / "new" / "results.jsonl")
    journal.write(OTHER, pace=pace.to_json())
    write(journal, OTHER, "a", result(0.5, solved=True))
    again = Journal(journal.path)
    settings = TRIALS[OTHER].to_dict()
    assert again.pace(OTHER) == pace
    assert again.pace(FIRST) is None
    assert again.result(OTHER, "a", settings) == result(0.5, solved=True)
    assert again.result(OTHER, "b", settings) is None
    assert again.result(FIRST, "a", settings) is None
    assert again.result(OTHER, "a", settings | {"width": 65}) is None
    assert again.result(OTHER, "a", settings | {"came_later": 0}) == result(0.5, solved=True)


def test_a_torn_line_is_left_out_and_does_not_spoil_the_next(tmp_path, capsys):
    journal = Journal(tmp_path / "results.jsonl")
    write(journal, FIRST, "a", result(0.5))
    with journal.path.open("a") as file:
        file.write('{"trial": {"vari')
    torn = Journal(journal.path)
    assert "not a result" in capsys.readouterr().out
    write(torn, FIRST, "b", result(0.25))
    assert Journal(journal.path).result(FIRST, "b", TRIALS[FIRST].to_dict()) == result(0.25)


def test_the_table_pairs_each_variant_with_the_first_on_the_tasks_that_both_have(tmp_path):
    journal = Journal(tmp_path / "results.jsonl")
    for task, loss in zip("abc", (1.0, 2.0, 3.0), strict=True):
        write(journal, FIRST, task, result(loss, solved=loss > 2))
    for task, loss in zip("ab", (0.5, 1.7), strict=True):
        write(journal, OTHER, task, result(loss))
    first, other = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table(journal, TRIALS, TASKS)[2:]
    )
    assert first == ["default", "3", "2.000", "", "1", "0", "3", "100", "12.5"]
    gains = np.array([-0.5, -0.3])
    mean, error = gains.mean(), gains.std(ddof=1) / np.sqrt(2)
    assert other == ["steps=3", "2", "1.100", f"{mean:+.3f} ± {error:.3f}", "0", "0", "2", "100", "12.5"]
    assert (mean, error) == (pytest.approx(-0.4), pytest.approx(0.1))
