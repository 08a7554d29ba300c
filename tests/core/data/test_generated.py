"""Generated pairs that are no ARC pairs are left out and counted; archives come packed in many ways."""

import json
import zipfile

import pytest
from generated_pairs import PAIRS, make_zip

from arc_core.base.errors import DataError
from arc_core.data.generated import MOST_LISTED, load_extra

TALL = {"input": [[0]] * 33, "output": [[1]]}


def test_a_zip_and_a_folder_in_re_arcs_layout_say_the_same(tmp_path):
    packed = make_zip(
        tmp_path / "x.zip",
        {"re_arc/tasks/a.json": PAIRS, "re_arc/tasks/b.json": "broken", "re_arc/c.json": PAIRS},
    )
    folder = tmp_path / "unpacked" / "re_arc" / "tasks"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(json.dumps(PAIRS))
    for source in (packed, tmp_path / "unpacked", folder):
        found = load_extra(source, {"a", "c"}).pairs
        assert set(found) == {"a"}
        assert [p.output.tolist() for p in found["a"]] == [[[3]], [[5, 6]]]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "not JSON"),
        ({}, "task a must be a list of pairs"),
        ([], "task a must be a list of pairs"),
        ([{"input": [[1]]}], "pair 0 .* must be an object with an input and an output"),
        ([{"input": [[1]], "output": [[11]]}], "pair 0 .*output holds 11"),
    ],
)
def test_bad_generated_pairs_are_refused_by_file_and_pair(tmp_path, content, sentence):
    with pytest.raises(DataError, match=sentence):
        load_extra(make_zip(tmp_path / "x.zip", {"re_arc/tasks/a.json": content}), {"a"})


def test_sources_that_are_none_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_extra(tmp_path / "none.zip", {"a"})
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(DataError, match="cannot be read as a zip"):
        load_extra(tmp_path / "text.zip", {"a"})
    with pytest.raises(DataError, match="holds no generated pairs"):
        load_extra(make_zip(tmp_path / "x.zip", {"re_arc/tasks/a.json": PAIRS}), {"b"})


def test_pairs_with_a_side_over_30_are_left_out_and_counted_by_file(tmp_path):
    files = {"re_arc/tasks/a.json": [TALL, *PAIRS, TALL], "re_arc/tasks/b.json": PAIRS}
    extra = load_extra(make_zip(tmp_path / "x.zip", files), {"a", "b"})
    assert {task: len(pairs) for task, pairs in extra.pairs.items()} == {"a": 2, "b": 2}
    assert extra.pairs["a"][0].output.tolist() == [[3]]
    assert extra.told().startswith(
        "2 of 6 generated pairs cannot be used and are left out: re_arc/tasks/a.json (2): "
    )
    assert "task a, pair 0 (zero-based), input is 33x1 (rows x columns)" in extra.told()


def test_nothing_is_told_where_nothing_is_bad(tmp_path):
    assert load_extra(make_zip(tmp_path / "x.zip", {"re_arc/tasks/a.json": PAIRS}), {"a"}).told() == ""


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"input": [[1]]}, "must be an object with an input and an output"),
        ({"input": [[1]], "output": None}, "output is not a grid"),
        ({"input": [[1], [1, 2]], "output": [[1]]}, "input is ragged"),
        ({"input": [], "output": [[1]]}, "input is 0x0"),
        ({"input": [["1"]], "output": [[1]]}, "input holds '1'"),
        ({"input": [[1.0]], "output": [[1]]}, "input holds 1.0"),
        ({"input": [[-1]], "output": [[10]]}, "input holds -1"),
        ([1], "must be an object with an input and an output"),
    ],
)
def test_whatever_is_wrong_with_a_pair_its_neighbours_are_kept(tmp_path, bad, told):
    extra = load_extra(make_zip(tmp_path / "x.zip", {"tasks/a.json": [bad, *PAIRS]}), {"a"})
    assert len(extra.pairs["a"]) == 2
    assert "1 of 3 generated pairs cannot be used" in extra.told()
    assert told in extra.told()


def test_files_that_cannot_be_read_are_left_out_whole(tmp_path):
    names = [f"re_arc/tasks/{letter}.json" for letter in "abcdefgh"]
    contents = ["{", {}, [], "", '[{"input": 1, "input": 2}]', '"x"', "[" * 100_000, PAIRS]
    packed = make_zip(tmp_path / "x.zip", dict(zip(names, contents, strict=True)))
    extra = load_extra(packed, set("abcdefgh"))
    assert set(extra.pairs) == {"h"}
    assert extra.told().startswith("7 whole files cannot be used and are left out: ")
    assert extra.told().endswith(f"And of {7 - MOST_LISTED} more files.")
    assert f"{packed}: re_arc/tasks/a.json is not JSON" in extra.told()


def test_a_damaged_and_an_encrypted_member_are_left_out(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "abc":
            archive.writestr(f"re_arc/tasks/{name}.json", json.dumps(PAIRS * 50))
        damaged, locked = (archive.getinfo(f"re_arc/tasks/{name}.json") for name in "ab")
    raw = bytearray(path.read_bytes())
    start = damaged.header_offset + 30 + len(damaged.filename)
    raw[start : start + 8] = b"\xff" * 8
    flag = locked.header_offset + 6
    raw[flag] |= 1
    central = raw.index(b"PK\x01\x02", raw.index(b"PK\x01\x02") + 4)
    raw[central + 8] |= 1
    path.write_bytes(raw)
    extra = load_extra(path, {"a", "b", "c"})
    assert set(extra.pairs) == {"c"}
    assert f"{path}: re_arc/tasks/a.json cannot be read" in extra.told()
    assert "b.json cannot be read: it is encrypted." in extra.told()


@pytest.mark.parametrize(
    "name", ["re_arc-main/re_arc/tasks/a.json", "tasks/a.json", "a.json", "generated/deep/down/a.json"]
)
def test_the_folders_around_the_tasks_do_not_matter(tmp_path, name):
    files = {
        name: PAIRS,
        "__MACOSX/re_arc/tasks/._a.json": "junk",
        "__MACOSX/re_arc/tasks/a.json": "junk",
        "re_arc/metadata.json": {"a": 1},
        ".ipynb_checkpoints/tasks/a.json": "junk",
    }
    packed = make_zip(tmp_path / "x.zip", files)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "unpacked")
    for source in (packed, tmp_path / "unpacked"):
        extra = load_extra(source, {"a"})
        assert [len(pairs) for pairs in extra.pairs.values()] == [2]
        assert extra.left_out == ()


def test_a_bad_pair_in_a_folder_is_left_out_as_in_a_zip(tmp_path):
    (tmp_path / "re_arc" / "tasks").mkdir(parents=True)
    (tmp_path / "re_arc" / "tasks" / "a.json").write_text(json.dumps([TALL, *PAIRS]))
    (tmp_path / "re_arc" / "tasks" / "b.json").write_text("{")
    extra = load_extra(tmp_path, {"a", "b"})
    assert [len(pairs) for pairs in extra.pairs.values()] == [2]
    told = extra.told()
    assert told.startswith("1 of 3 generated pairs and 1 whole file cannot be used and are left out: ")
    assert "re_arc/tasks/a.json (1): " in told


def test_pairs_of_one_task_in_two_folders_are_put_together(tmp_path):
    packed = make_zip(tmp_path / "x.zip", {"easy/tasks/a.json": PAIRS, "hard/tasks/a.json": PAIRS})
    assert len(load_extra(packed, {"a"}).pairs["a"]) == 4


def test_an_archive_of_nothing_but_bad_pairs_is_refused_with_the_first(tmp_path):
    with pytest.raises(DataError, match=r"holds no generated pairs .*the first of 1 files: .*input is 33x1"):
        load_extra(make_zip(tmp_path / "x.zip", {"re_arc/tasks/a.json": [TALL]}), {"a"})
