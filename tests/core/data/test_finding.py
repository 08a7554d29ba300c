"""A task is found by its file, its id or the start of it, and the answer is the same wherever it is asked."""

import json

import numpy as np
import pytest

from arc_core.base.errors import DataError
from arc_core.data.finding import find_task, full_ids
from arc_core.data.kaggle import challenges
from arc_core.data.tasks import Pair, Task, load_tasks

GRID = np.array([[1, 2, 3], [4, 5, 6]], np.int8)
TASK = Task("mine", (Pair(GRID, GRID),), (Pair(GRID, None),))


def test_a_task_is_found_by_id_and_in_a_file(tmp_path):
    found = find_task("00576224")
    assert (found.dataset, found.split) == ("arcagi1", "evaluation")
    path = tmp_path / "one.json"
    path.write_text(json.dumps(challenges([TASK])["mine"]))
    assert find_task(str(path), None).task.test[0].output is None
    many = tmp_path / "many.json"
    many.write_text(json.dumps(challenges(load_tasks("arcagi1").tasks[:2])))
    with pytest.raises(DataError, match="holds 2 tasks"):
        find_task(str(many), None)
    assert find_task("00d62c1b", str(many)).task.id == "00d62c1b"
    with pytest.raises(DataError, match="There is no task nonsense in arcagi1 or arcagi2"):
        find_task("nonsense", None)


def test_a_task_of_both_data_sets_is_that_of_the_first():
    both = {task.id for task in load_tasks("arcagi1", "evaluation").tasks}
    both &= {task.id for task in load_tasks("arcagi2", "training").tasks}
    found = find_task(min(both))
    assert (found.dataset, found.place) == ("arcagi1", "arcagi1 evaluation")
    assert find_task(min(both), "arcagi2").place == "arcagi2 training"


def test_the_start_of_an_id_is_enough_and_one_of_several_is_refused_with_them():
    assert find_task("0057622").task.id == "00576224"
    with pytest.raises(DataError, match=r"0 is the start of .* tasks: 00576224, 007bbfb7, .* and .* more"):
        find_task("0")
    with pytest.raises(DataError, match="There is no task"):
        find_task("")


def test_an_id_that_begins_another_is_itself():
    tasks = [Task(name, TASK.train, TASK.test) for name in ("ab", "abc", "b", "d,e")]
    assert full_ids(["ab", "abc", "x", "d"], tasks) == ["ab", "abc", "x", "d"]
    assert full_ids(["d,e"], tasks) == ["d,e"]
    with pytest.raises(DataError, match="a is the start of 2 tasks: ab, abc"):
        full_ids(["a"], tasks)
