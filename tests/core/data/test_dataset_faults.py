"""One bad entry does not hide the good ones: what is skipped, what is told, and what is no fault at all."""

import gzip
import json
import os

import pytest
from test_tasks import GOOD, UNSOLVED, sentence_of, with_train, write

from arc_core.base.errors import ArcError, GridSizeError, NoSplitError
from arc_core.data.dataset import ARCDataset
from arc_core.data.task_folder import DEEPEST, MOST_FOLDERS
from arc_core.data.tasks import load_tasks

WIDE = with_train({"input": [[0] * 33], "output": [[1]]})


def ids(source, **options):
    return [task.id for task in load_tasks(source, **options).tasks]


class TestBadEntries:
    def test_the_refusal_says_how_many_are_bad_and_that_they_can_be_skipped(self, tmp_path):
        for number in range(50):
            write(tmp_path / f"1d_{number}.json", WIDE if number in (7, 9) else GOOD)
        with pytest.raises(GridSizeError) as caught:
            load_tasks(tmp_path)
        first, *more = str(caught.value).split(". ")
        assert first.startswith(
            f"{tmp_path / '1d_7.json'}: task 1d_7, train pair 1 (zero-based), input is 1x33"
        )
        assert more == [
            "1 more of 50 tasks is bad too", "--skip-bad-tasks goes on with the other 48."
        ]  # fmt: skip
        loaded = load_tasks(tmp_path, skip_bad_tasks=True)
        assert (len(loaded), len(loaded.skipped)) == (48, 2)

    def test_skipping_is_not_offered_where_nothing_would_be_left(self, tmp_path):
        assert "--skip-bad-tasks" not in sentence_of(write(tmp_path / "a.json", WIDE))
        assert "--skip-bad-tasks" not in sentence_of(
            write(tmp_path / "challenges.json", {"a": WIDE, "b": []})
        )

    @pytest.mark.parametrize(
        ("bad", "told"),
        [
            (WIDE, "input is 1x33 (rows x columns)"),
            (with_train({"input": [], "output": [[1]]}), "input is 0x0"),
            (with_train({"input": [[1], [1, 2]], "output": [[1]]}), "input is ragged"),
            (with_train({"input": [["1"]], "output": [[1]]}), "input holds '1' in row 0"),
            (with_train({"input": [[1.0]], "output": [[1]]}), "input holds 1.0 in row 0"),
            (with_train({"input": [[-1]], "output": [[1]]}), "input holds -1 in row 0"),
            (with_train({"input": [[float("nan")]], "output": [[1]]}), "input holds nan in row 0"),
            (with_train({"input": [[float("inf")]], "output": [[1]]}), "input holds inf in row 0"),
            (
                with_train({"input": [[1]], "output": None}),
                "has no output: it is null, which only a test pair's may",
            ),
            ({"train": GOOD["train"]}, "it has no list 'test'"),
            ({"test": GOOD["test"]}, "it has no list 'train'"),
            ({"name": "a data set", "version": 2}, "it has no list 'train'"),
            (None, "is not an ARC task"),
            ("", "is empty: there is no JSON in it"),
            (
                json.dumps(GOOD) + "\n" + json.dumps(GOOD),
                "more than one JSON value, one a line as JSON Lines does",
            ),
            ('{"train": ' + "[" * 100_000, "nested too deeply"),
        ],
    )
    def test_a_bad_file_is_told_and_its_neighbours_are_read(self, tmp_path, bad, told):
        write(tmp_path / "bad.json", bad)
        write(tmp_path / "good.json", GOOD)
        loaded = load_tasks(tmp_path, skip_bad_tasks=True)
        assert [task.id for task in loaded.tasks] == ["good"]
        assert loaded.skipped[0].startswith(str(tmp_path / "bad.json"))
        assert told in loaded.skipped[0]

    @pytest.mark.parametrize(
        "bad", ["1" * 5000, '{"input": [[1]], "output": [[1]], "input": [[2]]}', "NaN", '"[[1]]"']
    )
    def test_a_bad_value_in_a_challenges_file_spoils_its_own_task_alone(self, tmp_path, bad):
        good = json.dumps(GOOD)
        path = write(
            tmp_path / "challenges.json", f'{{"bad": {{"train": [{bad}], "test": [{bad}]}}, "good": {good}}}'
        )
        assert ids(path, skip_bad_tasks=True) == ["good"]
        assert "challenges.json: task bad" in sentence_of(path)

    def test_a_task_that_stands_twice_in_a_file_is_left_out_by_name(self, tmp_path):
        good = json.dumps(GOOD)
        path = write(tmp_path / "challenges.json", f'{{"a": {good}, "b": {good}, "a": {good}}}')
        loaded = load_tasks(path, skip_bad_tasks=True)
        assert [task.id for task in loaded.tasks] == ["b"]
        assert "has 'a' twice" in loaded.skipped[0]

    def test_a_file_of_many_tasks_in_a_folder_is_told_as_such(self, tmp_path):
        write(tmp_path / "x_challenges.json", {"a": GOOD, "b": GOOD})
        assert "x_challenges.json holds 2 tasks, not one: pass this file itself" in sentence_of(tmp_path)

    def test_compressed_files_are_named_as_what_they_are(self, tmp_path):
        (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps(GOOD).encode()))
        for source in (tmp_path, tmp_path / "a.json.gz"):
            assert "a.json.gz is compressed by gzip: unpack it first." in sentence_of(source)

    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.json")
        write(tmp_path / "good.json", GOOD)
        assert "pipe.json is no file" in sentence_of(tmp_path)
        assert ids(tmp_path, skip_bad_tasks=True) == ["good"]


class TestNoFault:
    def test_a_test_output_that_is_null_is_hidden(self, tmp_path):
        hidden = {**GOOD, "test": [{"input": [[3]], "output": None}, *GOOD["test"]]}
        outputs = [pair.output for pair in load_tasks(write(tmp_path / "a.json", hidden)).tasks[0].test]
        assert outputs[0] is None
        assert outputs[1].tolist() == [[4]]
        assert [x.target is None for x in ARCDataset(tmp_path, part="test")] == [True, False]
        path = write(tmp_path / "x_challenges.json", {"a": UNSOLVED, "b": UNSOLVED})
        write(tmp_path / "x_solutions.json", {"a": [None], "b": [[[1]]]})
        assert [task.test[0].output is None for task in load_tasks(path).tasks] == [True, False]

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
    def test_any_unicode_that_windows_writes_is_read(self, tmp_path, encoding):
        text = json.dumps(GOOD, indent=1).replace("\n", "\r\n")
        (tmp_path / "a.json").write_bytes(text.encode(encoding))
        assert ids(tmp_path) == ["a"]

    def test_what_other_programs_leave_behind_is_passed_over(self, tmp_path):
        for junk in (
            ".ipynb_checkpoints/a-checkpoint.json", ".DS_Store", "__MACOSX/._a.json", "._a.json", "README.md",
        ):  # fmt: skip
            write(tmp_path / junk, "no JSON")
        write(tmp_path / "a.json", GOOD)
        assert ids(tmp_path) == ["a"]

    def test_runs_and_evaluations_below_are_passed_over(self, tmp_path):
        write(tmp_path / "runs" / "r" / "run.json", {})
        write(tmp_path / "runs" / "r" / "events.jsonl", "")
        write(tmp_path / "runs" / "r" / "checkpoints" / "0" / "state.json", {})
        write(tmp_path / "evals" / "e" / "eval.json", {})
        write(tmp_path / "evals" / "e" / "challenges.json", {})
        write(tmp_path / "a.json", GOOD)
        assert ids(tmp_path) == ["a"]


class TestNestedFolders:
    def test_a_folder_of_concepts_is_one_data_set(self, tmp_path):
        write(tmp_path / "corpus" / "AboveBelow" / "AboveBelow1.json", GOOD)
        write(tmp_path / "corpus" / "Center" / "Center1.json", GOOD)
        write(tmp_path / "loose.json", GOOD)
        assert ids(tmp_path) == ["AboveBelow1", "Center1", "loose"]

    def test_names_get_their_folders_where_they_would_clash_and_nowhere_else(self, tmp_path):
        for name in ("1.json", "A/1.json", "B/1.json", "B/2.json", "B/2.JSON", "C/3.json"):
            write(tmp_path / name, GOOD)
        assert ids(tmp_path) == ["1", "3", "A/1", "B/1", "B/2.JSON", "B/2.json"]

    def test_bad_files_far_below_are_skipped_by_name(self, tmp_path):
        write(tmp_path / "A" / "a.json", GOOD)
        write(tmp_path / "B" / "metadata.json", {"authors": []})
        loaded = load_tasks(tmp_path, skip_bad_tasks=True)
        assert [task.id for task in loaded.tasks] == ["a"]
        assert loaded.skipped[0].startswith(str(tmp_path / "B" / "metadata.json"))

    def test_evaluation_tasks_are_never_training_tasks(self, tmp_path):
        write(tmp_path / "ARC" / "data" / "training" / "a.json", GOOD)
        write(tmp_path / "ARC" / "data" / "evaluation" / "b.json", GOOD)
        write(tmp_path / "ARC" / "apps" / "package.json", {})
        assert (ids(tmp_path), ids(tmp_path, split="evaluation")) == (["a"], ["b"])
        write(tmp_path / "alone" / "evaluation" / "b.json", GOOD)
        assert ids(tmp_path / "alone", split="evaluation") == ["b"]
        with pytest.raises(NoSplitError, match="has no training split"):
            load_tasks(tmp_path / "alone")

    def test_loops_of_links_end(self, tmp_path):
        write(tmp_path / "A" / "a.json", GOOD)
        (tmp_path / "A" / "up").symlink_to(tmp_path)
        (tmp_path / "self").symlink_to(tmp_path / "self")
        (tmp_path / "linked").symlink_to(tmp_path / "A")
        assert ids(tmp_path) == ["a"]

    def test_a_folder_too_deep_to_be_read_is_told(self, tmp_path):
        write(tmp_path / "a.json", GOOD)
        write(tmp_path.joinpath(*"x" * (DEEPEST + 1), "b.json"), GOOD)
        assert f"lies too deep: at most {DEEPEST} folders down" in sentence_of(tmp_path)
        assert ids(tmp_path, skip_bad_tasks=True) == ["a"]

    def test_a_folder_of_far_too_many_folders_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr("arc_core.data.task_folder.MOST_FOLDERS", 3)
        for number in range(4):
            write(tmp_path / str(number) / "a.json", GOOD)
        assert "has more than 3 folders below it: name the one that holds the tasks" in sentence_of(tmp_path)
        assert MOST_FOLDERS > 1000

    def test_a_folder_that_cannot_be_listed_is_told(self, tmp_path, monkeypatch):
        write(tmp_path / "a.json", GOOD)
        (tmp_path / "closed").mkdir()
        listdir = os.listdir

        def refusing(folder):
            if folder.name == "closed":
                raise PermissionError(13, "Permission denied")
            return listdir(folder)

        monkeypatch.setattr(os, "listdir", refusing)
        assert "closed cannot be read: Permission denied." in sentence_of(tmp_path)
        assert ids(tmp_path, skip_bad_tasks=True) == ["a"]
        assert "closed cannot be read: Permission denied." in sentence_of(tmp_path / "closed")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("x" * 300, "cannot be looked at: File name too long"),
        ("~nobody-of-this-name/x", "The home folder ~nobody-of-this-name of .* is not known"),
        ("a\0b", "is no path: it holds a null character"),
        ("x/" * 3000 + "a.json", "cannot be looked at: File name too long"),
    ],
    ids=["long", "home", "null", "deep"],
)
def test_a_name_that_nothing_can_have_is_no_data_set(source, sentence):
    with pytest.raises(ArcError, match=sentence):
        load_tasks(source)
