"""`arc-tui inspect` as it is typed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from inspect_files import arc_checkpoint, arc_run, entry, raw_file, tensor_file

from arc_tui import cli

RECORDED = Path(__file__).parents[2] / "recorded"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(["inspect", *arguments])
    captured = capsys.readouterr()
    assert caught.value.code == code, captured.err
    output = captured.out if code != 2 else captured.err
    assert all(line.isprintable() or not line for line in output.splitlines())
    return output


def read(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0):
    return json.loads(run(capsys, *arguments, "--json", code=code))


def test_json_of_a_checkpoint_is_as_recorded(
    capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
):
    arc_run(Path("runs"))
    found = read(capsys, "checkpoint")
    found["path"] = Path(found["path"]).relative_to(Path.cwd()).as_posix()
    golden = RECORDED / "inspect_checkpoint.json"
    if request.config.getoption("--snapshot-update"):
        golden.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(golden.read_text())


def test_text_tells_what_json_tells(capsys: pytest.CaptureFixture[str]):
    arc_run(Path("runs"))
    facts, text = read(capsys, "checkpoint", "demo"), run(capsys, "checkpoint", "demo", "--plain")
    assert f"{facts['tensor_count']} tensors, {facts['parameters']:,} parameters" in text
    for tensor in facts["tensors"]:
        assert re.search(rf"^{re.escape(tensor['name'])} +{tensor['type']} ", text, re.MULTILINE)
    for part in (
        "Step 30, epoch 1, batch 7",
        "threshold 0.3300",
        "GradScaler 1024.0",
        "a_later_key",
        "0.182",
    ):
        assert part in text


def test_statistics_as_text_and_json(capsys: pytest.CaptureFixture[str]):
    values = np.array([[1, 2], [np.nan, 0]], np.float32)
    tensor_file(Path("x.safetensors"), {"w": values, "odd": ("F6_E2M3", [4], bytes(3))})
    found = read(capsys, "checkpoint", "x.safetensors", "--tensor", "w")["statistics"]
    assert (found["nans"], found["first_nans"], found["zeros"]) == (1, [[1, 0]], 1)
    assert (found["mean"], found["quantiles"]["0.5"]) == (1.0, 1.0)
    assert "First NaN at [1, 0]" in run(capsys, "checkpoint", "x.safetensors", "--tensor", "w")
    table = run(capsys, "checkpoint", "x.safetensors", "--stats")
    assert "odd: values of float6_e2m3 are not read" in table
    assert re.search(r"^w +float32 +\[2, 2\] +1 +0.8165 +0 +1 +2 +1 +1 +0$", table, re.MULTILINE)
    assert read(capsys, "checkpoint", "x.safetensors", "--stats")[0]["statistics"] is None


def test_moments_differences_timeline_and_drift(capsys: pytest.CaptureFixture[str]):
    arc_run(Path("runs"))
    first = "runs/demo/checkpoints/checkpoint_00001"
    assert {one["parameter"] for one in read(capsys, "checkpoint", "--moments")} == {
        "agent.layer.weight",
        "lm.layers.0.w",
    }
    assert read(capsys, "checkpoint", "--tensor", "layer.weight")["moments"]["ratio"] > 0
    changed = read(capsys, "checkpoint", first, "--diff", "demo")
    assert [one["name"] for one in changed["changed"]] == ["agent.layer.weight"]
    assert changed["changed"][0]["relative"] == pytest.approx(3)
    assert "1 changed" in run(capsys, "checkpoint", first, "--diff", "demo")
    assert [mark["step"] for mark in read(capsys, "checkpoint", "demo", "--timeline")] == [10, 20, 30]
    assert "00001 best" in run(capsys, "checkpoint", "demo", "--timeline")
    moved = read(capsys, "checkpoint", "demo", "--drift", "agent")
    assert [one["since_first"] for one in moved] == pytest.approx([0, 1, 3])
    assert "agent: 2 tensors" in run(capsys, "checkpoint", "demo", "--drift", "agent")
    assert read(capsys, "checkpoint", "demo", "--checkpoint", "2")["training"]["step"] == 20


def test_verify_ends_with_code_1_where_a_file_differs(capsys: pytest.CaptureFixture[str]):
    path = arc_checkpoint(Path())
    assert "All 8 files are as their manifest says." in run(capsys, "checkpoint", str(path), "--verify")
    (path / "agent.safetensors").write_bytes(b"")
    assert "1 of 8 files are not as they should be." in run(
        capsys, "checkpoint", str(path), "--verify", code=1
    )
    assert read(capsys, "checkpoint", str(path), "--verify", code=1)["verified"] is False


def test_parts_are_exported(capsys: pytest.CaptureFixture[str]):
    path = arc_checkpoint(Path())
    assert "Wrote lm-out/config.json" in run(capsys, "checkpoint", str(path), "--export-lm", "lm-out")
    assert run(capsys, "checkpoint", str(path), "--export", "agent", "out") == "Wrote out/agent.safetensors\n"
    assert "Wrote again/model.safetensors" in run(capsys, "checkpoint", str(path), "--export", "lm", "again")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["x.pt"], "pickle"),
        (["bad.safetensors"], "unknown type F31"),
        (["none.safetensors"], "There is no none.safetensors."),
        ([], "There is no run in runs."),
        (["ok.safetensors", "--tensor", "\x1b[2J"], 'no tensor "\\x1b[2J"'),
        (["ok.safetensors", "--timeline"], "belongs to no run"),
        (["ok.safetensors", "--moments"], "is no checkpoint of a run"),
        (["ok.safetensors", "--export-lm", "o"], "has no language model"),
        (["ok.safetensors", "--diff", "x.pt"], "pickle"),
        (["ok.safetensors", "--stats", "--verify"], "--stats and --verify do not go together"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
):
    Path("x.pt").write_bytes(b"PK\x03\x04" + bytes(50))
    raw_file(Path("bad.safetensors"), '{"a":' + entry(dtype="F31") + "}", bytes(4))
    tensor_file(Path("ok.safetensors"), {"a": np.zeros(1, np.float32)})
    said = run(capsys, "checkpoint", *arguments, code=2)
    assert sentence in said
    assert said.count("\n") == 1


def test_without_a_command_the_commands_are_listed(capsys: pytest.CaptureFixture[str]):
    assert {"checkpoint", "dataset", "task"} <= set(run(capsys).split())


def test_hostile_names_reach_no_terminal(capsys: pytest.CaptureFixture[str]):
    names = ["\x1b[2J\x1b]0;x\x07", "[red]a[/red]", "\u202eb", "c" * 10_000, "d\ne"]
    tensor_file(Path("x.safetensors"), {name: np.zeros(1, np.float32) for name in names}, {"\x1b": "\x07"})
    text = run(capsys, "checkpoint", "x.safetensors")
    assert "\\x1b[2J" in text
    assert "[red]a[/red]" in text
    assert max(map(len, text.splitlines())) < 300
    assert [t["name"] for t in read(capsys, "checkpoint", "x.safetensors")["tensors"]].count(names[0]) == 1
    run(capsys, "checkpoint", "x.safetensors", "--stats")


def test_dataset_lists_what_matches(capsys: pytest.CaptureFixture[str]):
    found = read(capsys, "dataset", "arcagi1", "--size", "ratio", "--colours", "02")
    assert found["tasks"] == 400
    assert 0 < found["shown"] < 100
    assert all(one["size_rule"] == "ratio" and {0, 2} <= set(one["colours"]) for one in found["list"])
    text = run(capsys, "dataset", "arcagi1", "--search", "upscale")
    assert f"{text.count('upscale')} of 400 tasks of arcagi1 training" in text
    assert "is no size rule" in run(capsys, "dataset", "arcagi1", "--size", "x", code=2)
    assert "takes digits" in run(capsys, "dataset", "arcagi1", "--colours", "red", code=2)
    assert "must be training or evaluation" in run(capsys, "dataset", "arcagi1", "--split", "x", code=2)


def test_task_shows_its_grids_features_and_rule(capsys: pytest.CaptureFixture[str]):
    assert read(capsys, "task", "0ca9ddb")["dataset"] == "arcagi1 training"
    found = read(capsys, "task", "0ca9ddb6", "--dataset", "arcagi2")
    assert found["train"][0]["input"][0] == "000800000"
    assert found["features"]["same_size_share"] == 1
    text = run(capsys, "task", "0ca9ddb6", "--dataset", "arcagi2")
    assert found["rule"] in text
    assert " 0 0 0 8 0 0 0 0 0" in text
    assert text.count("Demonstration") == len(found["train"])
    assert "There is no task zzz" in run(capsys, "task", "zzz", code=2)
    assert "is the start of" in run(capsys, "task", "0", code=2)


def test_inspecting_imports_no_torch_and_no_textual():
    script = (
        "import sys, arc_tui.commands.inspect\n"
        "heavy = {'torch', 'transformers', 'safetensors', 'textual'} & set(sys.modules)\n"
        "sys.exit(f'imports {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
