"""What weights may be trained on shares nothing with what they are evaluated on."""

import numpy as np
import pytest

from arc_core.data.grids import dihedral, permute_colors
from arc_core.data.kept_away import without_evaluated, without_kept_away
from arc_core.data.seen import SeenTasks, held_out
from arc_core.data.tasks import Pair, load_tasks


@pytest.fixture(scope="module")
def allowed():
    return without_kept_away(load_tasks("arcagi1").tasks)


def test_the_pretraining_set_shares_no_task_with_any_evaluated_list(allowed):
    seen = SeenTasks.of(allowed)
    for dataset in ("arcagi1", "arcagi2"):
        assert seen.overlap(load_tasks(dataset, "evaluation").tasks) == []
    assert seen.overlap(held_out(load_tasks("arcagi1").tasks)) == []
    missing = {task.id for task in load_tasks("arcagi1").tasks} - {task.id for task in allowed}
    assert {"40853293", "caa06a1f"} <= missing | {t.id for t in held_out(load_tasks("arcagi1").tasks)}
    assert len(allowed) == 400 - len(missing) >= 290


def test_a_task_of_arc_agi_2_that_arc_agi_1_evaluates_is_left_out():
    evaluated = {task.id for task in load_tasks("arcagi1", "evaluation").tasks}
    assert not evaluated & {task.id for task in without_kept_away(load_tasks("arcagi2").tasks)}


def test_generated_pairs_that_are_an_evaluated_tasks_are_left_out_in_any_disguise(allowed):
    names = np.array([0, 3, 1, 2, 9, 8, 7, 6, 5, 4])
    own = allowed[0].train[0]
    hidden = []
    for tasks in (
        held_out(load_tasks("arcagi1").tasks),
        *(load_tasks(name, "evaluation").tasks for name in ("arcagi1", "arcagi2")),
    ):
        pair = max(tasks[0].train, key=lambda pair: pair.input.size)
        hidden += [Pair(*(permute_colors(dihedral(g, k), names) for g in (pair.input, pair.output)))
                   for k in range(8)]  # fmt: skip
        hidden.append(tasks[1].test[0])
    found = without_evaluated({"a": [own, *hidden], "b": [own]})
    assert {name: [id(pair) for pair in pairs] for name, pairs in found.items()} == {
        "a": [id(own)],
        "b": [id(own)],
    }
