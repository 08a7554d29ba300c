"""The command line: flags, refusals, and following a training process to its end."""

import json
import os
import signal
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
from raw_events import read_lines

from arc_core.base.errors import ArcError
from arc_core.base.signals import ENDING
from arc_core.pipeline.config import PipelineConfig
from arc_core.run.branch import BranchSource
from arc_core.run.directory import RunDirectory, RunLock, create_run, open_run
from arc_tui import cli
from arc_tui.commands.options import FLAGS
from arc_tui.commands.training import train_here
from arc_tui.runs import starting
from arc_tui.runs.engine import engine_command, start_engine

FAKE = str(Path(__file__).parents[1] / "fake_engine.py")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def _main(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def _train(behaviour: str, **flags: object) -> int:
    def engine(run: RunDirectory) -> list[str]:
        return [sys.executable, FAKE, behaviour, str(run.path)]

    return train_here({"name": "demo", **flags}, None, engine)


def test_seeds_underscored_spellings_are_the_same_flags(capsys: pytest.CaptureFixture[str]):
    outputs = []
    for given in (
        ["--agent-lr", "3e-4", "--max-batches", "9"],
        ["--agent_lr", "3e-4", "--max_batches=9"],
        ["--set", "agent_lr=3e-4", "--set", "max-batches=9"],
    ):
        assert _main("config", *given) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]
    assert tomllib.loads(outputs[0])["agent_lr"] == 3e-4


def test_seeds_own_command_line_is_taken(capsys: pytest.CaptureFixture[str]):
    line = "--epochs 20 --agent_lr 1e-4 --qwen_lr 1e-4 --device cuda"
    assert _main("config", *line.split()) == 0
    assert tomllib.loads(capsys.readouterr().out)["device"] == "cuda"


def test_flags_win_over_the_file_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "c.toml").write_text('preset = "seed"\nepochs = 3\naugment = true\n')
    assert _main("config", "--config", "c.toml", "--epochs", "4", "--no-augment") == 0
    values = tomllib.loads(capsys.readouterr().out)
    assert (values["epochs"], values["pipeline"]["augment"], values["batch_size"]) == (4, False, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("train --epoch 3", "There is no flag --epoch; did you mean --epochs?"),
        ("train --agent_rl 3", "There is no flag --agent-rl; did you mean --agent-lr?"),
        ("train --hidden-dim 3", "--hidden-dim is not a flag of this command; use --set hidden_dim=VALUE."),
        ("train --lambda-rsk 3", "There is no flag --lambda-rsk; did you mean --set lambda_risk=VALUE?"),
        ("train --agent-lr x", 'agent_lr is "x", but must be a number from 0 to 1.'),
        ("train --set hidden=3", "There is no setting hidden; did you mean hidden_dim?"),
        ("train --set hidden", "--set takes key=value, not hidden."),
        ("train --epochs 3 --set epochs=4", "epochs is given twice on the command line."),
        ("train --config none.toml", "Cannot read the config file none.toml: No such file or directory."),
        ("train --name ../x", 'The run cannot be named "../x": path separators are not allowed.'),
        ("train --resume latest", "There is no run in runs."),
        ("train --preset big", 'preset is "big", but must be tiny, seed or solver.'),
        ("train junk", "Got unexpected extra argument(s) (junk)"),
        ("trian", "No such command 'trian'. Did you mean 'train'?"),
    ],
)
def test_bad_input_is_one_sentence_with_exit_code_2_and_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, sentence: str
):
    assert _main(*arguments.split()) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"Error: {sentence}\n")
    assert not any((tmp_path / "runs").glob("*"))


def test_every_flag_is_in_the_help_and_no_argument_prints_it(capsys: pytest.CaptureFixture[str]):
    assert _main("train", "--help") == 0
    help_text = capsys.readouterr().out
    assert all(f"--{name.replace('_', '-')}" in help_text for name in (*FLAGS, "config", "set"))
    assert _main() == 0
    assert "fetch-lm" in capsys.readouterr().out


def test_whole_run_is_followed_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert _train("whole", epochs="1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Run demo, preset tiny, in ")
    assert lines[1] == "The plan is not known."  # this engine makes none
    assert lines[2] == "Training started"
    assert lines[3] == "[Batch   10] EFE_Loss: 3.456 | d_acc: +0.050 | Qwen_grad: 2.34e-04 | Mask: 0.347"
    assert lines[5] == "Warning: LM gradient is zero\\x1b]0;x\\x07 [red] Advice: Check --lm-train."
    assert "  Validation Accuracy: 0.0370 (71/1920 correct)" in lines
    assert lines[-1] == "Finished: all 1 epochs done"
    run = open_run(tmp_path / "runs", "demo")
    assert run.read()["config"]["epochs"] == 1
    assert run.engine_log.read_text() == "an engine speaks \x1b[31m\n"
    assert run.engine_log.stat().st_mode & 0o777 == 0o600


def test_run_that_takes_long_to_begin_says_once_what_it_is_loading(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("arc_tui.commands.training.QUIET_SECONDS", 0.0)
    assert _train("run", dataset="arcagi1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Still loading libraries, the data (arcagi1) and the models; steps follow."
    assert lines.count(lines[1]) == 1


def test_refusal_of_the_engine_is_the_same_sentence_and_leaves_no_run(tmp_path: Path):
    with pytest.raises(ArcError, match=r"^The dataset nowhere is neither a name"):
        _train("refuse", dataset="nowhere")
    assert list((tmp_path / "runs").iterdir()) == []


def test_refused_resume_keeps_the_run_and_its_configuration(tmp_path: Path):
    run = create_run(tmp_path / "runs", "demo", {"config": PipelineConfig().to_dict()})
    before = run.read()
    with pytest.raises(ArcError, match=r"^The dataset nowhere"):
        _train("refuse", resume="latest", dataset="nowhere")
    assert run.read() == before


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [("crash", "with exit code 3"), ("killed", "killed by SIGKILL, perhaps for want of memory")],
)
def test_crash_shows_the_log_and_the_command_that_resumes(
    behaviour: str, cause: str, capsys: pytest.CaptureFixture[str]
):
    assert _train(behaviour, runs_dir="my runs") == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == f"Error: The training process ended unexpectedly, {cause}."
    assert errors[-1] == "To go on: arc-tui train --resume demo --runs-dir 'my runs'"
    if behaviour == "crash":
        assert errors[1].startswith("The last lines of ")
        assert sorted(errors[2:-1]) == ["  Traceback: boom", "  an engine speaks \\x1b[31m"]


def _when_events_reach(tmp_path: Path, *counts: int, send: signal.Signals) -> threading.Thread:
    """Send a signal to this process each time the log has grown to the next of `counts` events."""
    events = tmp_path / "runs" / "demo" / "events.jsonl"

    def watch() -> None:
        for count in counts:
            while not (events.exists() and len(read_lines(events)) >= count):
                threading.Event().wait(0.01)
            os.kill(os.getpid(), send)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.parametrize("number", ENDING)
def test_stop_signal_is_handed_on_and_followed_to_the_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
):
    before = signal.getsignal(number)
    thread = _when_events_reach(tmp_path, 2, send=number)
    assert _train("until-stopped") == 0
    thread.join()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Finished: stopped by SIGTERM"
    assert "Checkpoint 00000 saved at step 1 (1.2 MB, 0.50 s)" in lines
    assert "Stopping: the run is saved first." in lines
    assert signal.getsignal(number) == before


def test_second_ctrl_c_says_that_the_run_is_still_being_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    thread = _when_events_reach(tmp_path, 2, 3, send=signal.SIGINT)
    assert _train("until-stopped-twice") == 0
    thread.join()
    output = capsys.readouterr().out
    assert output.index("Stopping: the run is saved first.") < output.index("Still saving;")


def test_process_that_was_stopped_before_it_could_save_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    thread = _when_events_reach(tmp_path, 2, send=signal.SIGINT)
    assert _train("deaf") == 1
    thread.join()
    stopped = "The run was stopped before it could save its state."
    assert capsys.readouterr().err.splitlines() == [stopped, "To go on: arc-tui train --resume demo"]


def test_resume_takes_the_runs_own_options_and_records_what_is_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    create_run(tmp_path / "runs", "demo", {"config": PipelineConfig(epochs=7, agent_lr=0.5).to_dict()})
    assert _train("whole", resume="demo", agent_lr="0.25", epochs="7") == 0
    stored = open_run(tmp_path / "runs", "demo").read()
    assert (stored["config"]["agent_lr"], stored["config"]["epochs"]) == (0.25, 7)
    (change,) = stored["changes"]
    assert (change["key"], change["old"], change["new"]) == ("agent_lr", 0.5, 0.25)
    capsys.readouterr()
    assert _train("whole", resume="latest") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("[Epoch 0 Summary]") == 1
    assert len(open_run(tmp_path / "runs").read()["changes"]) == 1


def test_resume_cannot_change_preset_or_name(tmp_path: Path):
    create_run(tmp_path / "runs", "demo", {"config": PipelineConfig().to_dict()})
    with pytest.raises(ArcError, match="has the preset tiny; it cannot become seed"):
        _train("whole", resume="demo", preset="seed")
    with pytest.raises(ArcError, match="has the name demo; it cannot become other"):
        _train("whole", resume="demo", name="other")


def test_living_run_is_not_resumed_nor_its_options_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = create_run(tmp_path / "runs", "demo", {"config": PipelineConfig().to_dict()})
    monkeypatch.setattr(starting, "DYING_HOLDER_SECONDS", 0.0)
    before = run.run_json.read_bytes()
    with RunLock(run), pytest.raises(ArcError, match=f"demo is in use by process {os.getpid()}"):
        _train("whole", resume="demo", epochs="3")
    assert run.run_json.read_bytes() == before


def test_paths_are_recorded_so_that_a_resume_works_from_another_folder(tmp_path: Path):
    (tmp_path / "tasks").mkdir()
    assert _train("whole", dataset="tasks") == 0
    config = open_run(tmp_path / "runs").read()["config"]
    assert (config["dataset"], config["lm"]) == (str(tmp_path / "tasks"), "tiny")


def test_engine_is_a_session_of_its_own_with_nothing_on_its_input(tmp_path: Path):
    run = create_run(tmp_path, "demo", {})
    assert engine_command(run) == [sys.executable, "-m", "arc_core", str(run.path)]
    code = "import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))"
    process = start_engine(run, lambda run: [sys.executable, "-c", code])
    assert process.wait(20) == 0
    assert run.engine_log.read_text() == "True ''\n"


def test_fetching_a_model_hands_on_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    started = subprocess.Popen
    asked: list[list[str]] = []

    def start(command: list[str], **options: Any) -> subprocess.Popen[str]:
        asked.append(command)
        return started([sys.executable, "-c", "print('half of it'); raise SystemExit(5)"], **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    assert _main("fetch-lm", "smollm2") == 5
    assert asked == [[sys.executable, "-m", "arc_core.pipeline.fetch_lm", "smollm2"]]
    assert capsys.readouterr().out == "half of it\n"


def test_version_is_printed(capsys: pytest.CaptureFixture[str]):
    assert _main("--version") == 0
    assert capsys.readouterr().out.startswith("arc-tui ")


def test_command_line_imports_neither_torch_nor_transformers():
    code = (
        "import sys, json\nfrom arc_tui import cli\n"
        "import arc_core.run.commands, arc_core.run.events, arc_core.run.directory\n"
        "sys.argv = ['arc-tui', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps([m for m in ('torch', 'transformers', 'numpy', 'textual') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert "Usage: arc-tui" in done.stdout


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lm", "Qwen/X"),
        ("lm_train", "frozen"),
        ("hidden_dim", "32"),
        ("optimizer", "adam"),
        ("memory_capacity", "7"),
    ],
)
def test_resume_refuses_what_the_checkpoints_do_not_fit(tmp_path: Path, key: str, value: str):
    run = create_run(tmp_path / "runs", "demo", {"config": PipelineConfig().to_dict()})
    before = run.read()
    (run.checkpoints / "checkpoint_00000").mkdir(parents=True)
    own = getattr(PipelineConfig(), key)
    with pytest.raises(
        ArcError,
        match=f"^The checkpoints of demo were trained with {key} {own} and cannot go on with {value}: ",
    ):
        _train("whole", resume="demo", **{key: value})
    assert run.read() == before
    assert _train("whole", resume="demo", **{key: str(own)}) == 0


def test_a_run_of_a_recipe_that_is_gone_is_not_resumed_and_says_which_version_trained_it(tmp_path: Path):
    made = {"config": {"recipe": "solver", "epochs": 3}, "versions": {"arc-tui": "0.7.1"}}
    create_run(tmp_path / "runs", "demo", made)
    with pytest.raises(ArcError, match=r"trained by the recipe solver of arc-tui 0\.7\.1 \(commit unknown"):
        _train("whole", resume="demo")


def test_a_rate_that_is_given_on_resuming_is_noted_though_the_configuration_has_it_already(tmp_path: Path):
    """A command may have set another one meanwhile, of which the configuration does not say."""
    create_run(tmp_path / "runs", "demo", {"config": PipelineConfig().to_dict()})
    assert _train("whole", resume="demo", agent_lr="1e-4", epochs="20") == 0
    (change,) = open_run(tmp_path / "runs", "demo").read()["changes"]
    assert (change["key"], change["old"], change["new"]) == ("agent_lr", 1e-4, 1e-4)


def test_a_branch_notes_what_differs_from_its_checkpoint_not_from_the_run_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    changes = [
        {"time": 0.0, "key": "batch_size", "old": 2, "new": 6, "seq": 20},
        {"time": 0.0, "key": "agent_lr", "old": 1e-3, "new": 1e-2, "seq": 20},
    ]
    config = PipelineConfig(batch_size=6, agent_lr=1e-2).to_dict()
    old = create_run(tmp_path / "runs", "demo", {"config": config, "changes": changes})
    source = BranchSource(old.checkpoints / "checkpoint_00003", 3, 9, 12)
    monkeypatch.setattr(starting, "find_source", lambda run, number: source)

    def make_branch(
        run: RunDirectory, source: BranchSource, runs_dir: Path, name: str, made: dict
    ) -> RunDirectory:
        return create_run(runs_dir, name, made)

    monkeypatch.setattr(starting, "make_branch", make_branch)
    made = starting.prepare({"resume": "demo", "branch": "new", "epochs": 7}, None, []).run.read()
    assert [(c["key"], c["old"], c["new"], c["seq"]) for c in made["changes"]] == [
        ("batch_size", 2, 6, 13),
        ("epochs", 20, 7, 13),
    ]
    assert made["config"]["agent_lr"] == 1e-3, "the rate is the checkpoint's"


def test_prepare_makes_a_run_starts_nothing_and_is_not_kept_for_a_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert _main("train", "--prepare", "--processes", "2", "--name", "my run") == 0
    folder = tmp_path / "runs" / "my run"
    assert capsys.readouterr().out == f"torchrun --nproc-per-node N -m arc_core '{folder}'\n"
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["run.json"]
    assert open_run(tmp_path / "runs", "my run").read()["config"]["processes"] == "2"
    monkeypatch.setattr("arc_tui.commands.training.train_here", lambda *given, **more: 7)
    assert _main("train", "--resume", "my run", "--headless") == 7
