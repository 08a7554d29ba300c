"""The wheel without extras looks, steers, scores and reports; what computes says what it needs."""

import json
import subprocess
from pathlib import Path

import pytest
from recordings import make_run
from wheels import bare, run

pytestmark = pytest.mark.slow

MOST_BYTES = 160_000_000
WEIGHTS = "arc_core/_weights/solver.safetensors"


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel and what it requires, and nothing else."""
    return bare(tmp_path_factory.mktemp("bare") / "venv", wheel)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and a submission that is right."""
    folder = tmp_path_factory.mktemp("home")
    make_run(folder / "runs")
    grid = [[1, 2], [3, 4]]
    (folder / "submission.json").write_text(json.dumps({"a": [{"attempt_1": grid, "attempt_2": [[0]]}]}))
    (folder / "x_solutions.json").write_text(json.dumps({"a": [grid]}))
    pair = {"input": [[1]], "output": grid}
    challenges = {"a": {"train": [pair], "test": [{"input": [[1]]}]}}
    (folder / "x_challenges.json").write_text(json.dumps(challenges))
    return folder


def test_base_install_has_no_torch_and_stays_small(programs: Path):
    (packages,) = programs.parent.glob("lib/python*/site-packages")
    names = {path.name for path in packages.iterdir()}
    assert {"arc_core", "arc_tui", "textual", "numpy"} <= names
    assert not {"torch", "transformers", "safetensors"} & names
    size = sum(path.stat().st_size for path in programs.parent.rglob("*") if path.is_file())
    assert size < MOST_BYTES, f"{size / 1e6:.0f} MB"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["--version"], "arc-tui "),
        (["runs"], "recorded"),
        (["status", "recorded"], "step"),
        (["logs", "recorded"], "[Batch"),
        (["note", "recorded", "look again"], "recorded"),
        (["report", "recorded", "--output", "page.html"], "page.html"),
        (["export", "recorded", "--csv", "a.csv"], "a.csv"),
        (["config", "--preset", "seed"], "Qwen"),
        (["settings"], "theme"),
        (["themes"], "arc-dark"),
        (["inspect", "dataset", "arcagi1", "--size", "same", "--json"], "00d62c1b"),
        (["inspect", "task", "0ca9ddb6"], "0ca9ddb6"),
        (["score", "submission.json", "x_solutions.json"], "100"),
        (["completion", "bash"], "arc-tui"),
    ],
    ids=lambda value: "_".join(value[:2]) if isinstance(value, list) else "",
)
def test_base_install_does_what_needs_no_tensors(programs: Path, home: Path, command: list[str], said: str):
    assert said in run(programs / "arc-tui", *command, cwd=home)


def test_base_install_reads_weights_without_the_library_that_wrote_them(programs: Path, home: Path):
    (weights,) = programs.parent.glob(f"lib/python*/site-packages/{WEIGHTS}")
    told = json.loads(run(programs / "arc-tui", "inspect", "checkpoint", str(weights), "--json", cwd=home))
    assert told


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["train", "--headless", "--name", "new"], "train"),
        (["train", "--resume", "recorded", "--headless"], "train"),
        (["solve", "0d3d703e"], "train"),
        (["eval", "--limit", "1"], "train"),
        (["export-weights", "w.safetensors", "--run", "recorded"], "train"),
        (["fetch-lm", "smollm2"], "smollm2"),
        (["report", "recorded", "--png", "loss"], "png"),
        (["export", "recorded", "--tensorboard", "board"], "tensorboard"),
        (["export", "recorded", "--hub", "user/agent"], "hub"),
        (["inspect", "checkpoint", "user/model"], "hub"),
    ],
    ids=lambda value: "_".join(value[:3]) if isinstance(value, list) else "",
)
def test_what_an_extra_does_is_refused_in_one_sentence_with_the_command_that_brings_it(
    programs: Path,
    home: Path,
    command: list[str],
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))  # else a model that was fetched before needs nothing
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    done = subprocess.run(
        [programs / "arc-tui", *command], cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert f"pip install 'arc-tui[{extra}]'" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_training_process_refuses_likewise(programs: Path, home: Path):
    command = [programs / "python", "-m", "arc_core", "runs/recorded"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: Training needs torch, transformers and safetensors, which are not")
    assert done.stderr.count("\n") == 1
