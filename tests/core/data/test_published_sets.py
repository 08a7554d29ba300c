"""Data sets of others are read as they are published: folders, long names, lines, generated pairs."""

import gzip
import json

import published_sets as sets
import pytest

from arc_core.base.errors import DataError
from arc_core.data.finding import find_task, full_ids
from arc_core.data.generated import is_generated, load_generated
from arc_core.data.task_folder import parts_of
from arc_core.data.tasks import TaskSet, load_tasks
from arc_core.evaluation.folder import EvalFolder


def sentence_of(call, *arguments, **options):
    with pytest.raises(DataError) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def ids(tasks: TaskSet):
    return [task.id for task in tasks.tasks]


class TestGroups:
    def test_conceptarc_is_read_whole_with_its_concepts(self, tmp_path):
        tasks = load_tasks(sets.concept_arc(tmp_path))
        assert len(tasks) == 9
        assert {task.groups for task in tasks.tasks} == {("AboveBelow",), ("Center",), ("Copy",)}
        assert ids(tasks)[:2] == ["AboveBelow1", "AboveBelow10"]

    @pytest.mark.parametrize("part", ["", "corpus"])
    def test_groups_choose_folders_at_any_depth(self, tmp_path, part):
        sets.concept_arc(tmp_path)
        tasks = load_tasks(tmp_path / part, groups=parts_of("Center, Copy"))
        assert ids(tasks) == ["Center1", "Center10", "Center2", "Copy1", "Copy10", "Copy2"]

    def test_what_is_bad_in_another_group_does_not_matter(self, tmp_path):
        folder = sets.one_d_arc(tmp_path)
        assert "1x32 (rows x columns)" in sentence_of(load_tasks, folder)
        assert len(load_tasks(folder, skip_bad_tasks=True)) == 5
        assert len(load_tasks(folder, groups=["1d_fill"])) == 3

    def test_a_split_is_no_group_and_has_its_own(self, tmp_path):
        for split in ("training", "evaluation"):
            sets.write(tmp_path / split / "hard" / f"{split}.json", sets.task())
        (task,) = load_tasks(tmp_path, "evaluation", groups=["hard"]).tasks
        assert task.groups == ("hard",)
        told = sentence_of(load_tasks, tmp_path, groups=["training"])
        assert "has no group training: there are hard" in told

    def test_an_unknown_group_is_answered_with_those_that_there_are(self, tmp_path):
        folder = sets.concept_arc(tmp_path)
        told = sentence_of(load_tasks, folder, groups=["Centre"])
        assert told.endswith("has no group Centre: there are AboveBelow, Center, Copy.")
        assert "it has none" in sentence_of(load_tasks, folder / "Copy", groups=["Copy"])

    def test_what_is_no_folder_has_no_groups(self, tmp_path):
        file = sets.write(tmp_path / "a.json", sets.task())
        assert "has no groups" in sentence_of(load_tasks, file, groups=["a"])
        assert "arcagi1 has no groups" in sentence_of(load_tasks, "arcagi1", groups=["a"])


class TestMiniArc:
    def test_every_name_is_its_files(self, tmp_path):
        assert set(ids(load_tasks(sets.mini_arc(tmp_path)))) == set(sets.MINI_NAMES)

    def test_a_task_is_found_by_the_start_of_its_name(self, tmp_path):
        folder = str(sets.mini_arc(tmp_path))
        assert find_task("Eunji", folder).task.id == sets.MINI_NAMES[2]
        assert find_task("1,3,", folder).task.id == sets.MINI_NAMES[0]
        assert list(full_ids(["2x2", "Flip"], load_tasks(folder).tasks)) == [
            sets.MINI_NAMES[3], sets.MINI_NAMES[1]
        ]  # fmt: skip

    def test_each_name_has_a_file_of_answers_of_its_own(self, tmp_path):
        paths = {EvalFolder(tmp_path).answer_path(name) for name in sets.MINI_NAMES}
        assert len(paths) == len(sets.MINI_NAMES)
        assert {path.parent for path in paths} == {tmp_path / "answers"}


@pytest.mark.parametrize(
    ("name", "counts", "like"),
    [
        ("kaggle2019", (400, 400), "arcagi1"),
        ("kaggle2024", (400, 400), "arcagi1"),
        ("kaggle2025", (1000, 120), "arcagi2"),
    ],
)
def test_arckits_other_sets_hold_the_tasks_of_the_published_two(name, counts, like):
    for split, count in zip(("training", "evaluation"), counts, strict=True):
        tasks = load_tasks(name, split)
        assert len(tasks) == count
        assert ids(tasks) == ids(load_tasks(like, split))
        assert tasks.name == f"{name} {split}"


class TestJsonLines:
    def test_the_last_of_barcs_examples_is_to_be_solved(self, tmp_path):
        tasks = load_tasks(sets.barc(tmp_path / "data_100k.jsonl"))
        assert ids(tasks) == ["data_100k_task0", "data_100k_task1", "data_100k_task2"]
        assert [pair.input.tolist() for pair in tasks.tasks[0].train] == [[[0]], [[1]], [[2]]]
        assert [pair.output.tolist() for pair in tasks.tasks[0].test] == [[[4]]]

    def test_an_arc_task_may_stand_in_a_line_by_its_own_name(self, tmp_path):
        lines = [{"id": "b", **sets.task()}, {"task_id": "a", **sets.task()}, sets.task()]
        path = sets.write(tmp_path / "x.ndjson", "\n\n".join(map(json.dumps, lines)))
        assert ids(load_tasks(path)) == ["a", "b", "x_task4"]

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("{", "line 3 (zero-based) is not JSON"),
            ("[]", "line 3 (zero-based) is no task: it must be an object"),
            ('{"examples": [[[[1]], [[1]]]]}', "must have at least two examples"),
            ('{"examples": [1, 2]}', "example 0 (zero-based) must be a list of input and output"),
            ('{"examples": [[[[1]], [[1]]], [[[11]], [[1]]]]}', "test pair 0 (zero-based), input holds 11"),
            ('{"source": "x"}', "has no list 'train'"),
        ],
    )
    def test_a_bad_line_is_one_sentence_and_can_be_left_out(self, tmp_path, line, told):
        path = sets.barc(tmp_path / "x.jsonl")
        path.write_text(path.read_text() + line + "\n")
        message = sentence_of(load_tasks, path)
        assert told in message
        assert "x.jsonl, line 3 (zero-based)" in message
        assert "--skip-bad-tasks goes on with the other 3" in message
        assert len(load_tasks(path, skip_bad_tasks=True)) == 3

    def test_files_that_cannot_be_read_so_are_one_sentence(self, tmp_path):
        path = sets.barc(tmp_path / "x.jsonl")
        assert "goes with a Kaggle challenges file" in sentence_of(load_tasks, path, solutions=path)
        packed = tmp_path / "y.jsonl"
        packed.write_bytes(gzip.compress(b"{}"))
        assert "compressed by gzip: unpack it first" in sentence_of(load_tasks, packed)
        assert "holds no task" in sentence_of(load_tasks, sets.write(tmp_path / "z.jsonl", ""))
        assert "pass a folder" in sentence_of(load_tasks, tmp_path / "none.jsonl")


class TestGenerated:
    def test_the_first_pairs_of_each_task_are_shown(self, tmp_path):
        tasks = load_generated(sets.re_arc(tmp_path / "re_arc.zip"), 5)
        assert ids(tasks) == ["007bbfb7", "00d62c1b"]
        assert [len(task.train) for task in tasks.tasks] == [4, 3]  # one of the second is too tall
        assert tasks.tasks[0].test[0].output.tolist() == [[4, 4]]
        (told,) = tasks.skipped
        assert "task 00d62c1b, pair 0 (zero-based), input is 33x1" in told

    def test_zip_folder_and_file_say_the_same(self, tmp_path):
        pairs = [{"input": [[n]], "output": [[n]]} for n in range(3)]
        file = sets.write(tmp_path / "re_arc" / "tasks" / "a.json", pairs)
        sets.write(tmp_path / "re_arc" / "metadata.json", {"a": {"n_examples": 3}})
        for source in (file, tmp_path, tmp_path / "re_arc"):
            assert is_generated(source)
            assert ids(load_generated(source, 10)) == ["a"]

    def test_a_task_is_found_among_generated_pairs(self, tmp_path):
        found = find_task("007", str(sets.re_arc(tmp_path / "re_arc.zip")), pairs=3)
        assert found.task.id == "007bbfb7"
        assert len(found.task.train) == 2

    def test_tasks_are_no_generated_pairs(self, tmp_path):
        assert not is_generated(sets.concept_arc(tmp_path))
        assert not is_generated("arcagi1")
        assert not is_generated(tmp_path / "none")
        assert not is_generated(sets.barc(tmp_path / "x.jsonl"))

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("[", "is not JSON"),
            ([], "has no two pairs"),
            ([{"input": [[1]], "output": [[1]]}], "has no two pairs"),
            ([1, 2], "must be an object with an input and an output"),
        ],
    )
    def test_a_bad_file_is_one_sentence(self, tmp_path, content, told):
        sets.write(tmp_path / "tasks" / "a.json", content)
        assert told in sentence_of(load_generated, tmp_path, 10)

    def test_a_file_of_pairs_as_a_dataset_is_refused_with_where_it_belongs(self, tmp_path):
        path = sets.write(tmp_path / "a.json", [{"input": [[1]], "output": [[1]]}])
        assert "Pairs as RE-ARC has them are given as --extra-data." in sentence_of(load_tasks, path)
