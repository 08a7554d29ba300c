"""Every block of code in docs/recipes.md does what the page says of it."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import measured, stop_after, told, train, write_tasks

from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory, create_run, trusted_run
from arc_core.run.events import EventReader
from arc_core.run.provenance import describe_run
from arc_core.run.recipes import declaration_of
from arc_core.run.resolving import resolve
from arc_core.tracking.tracked import TrackedRun

DOCS = Path(__file__).parents[3] / "docs"


def blocks() -> list[str]:
    """The indented blocks of the page, without their indentation."""
    text = (DOCS / "recipes.md").read_text()
    found = re.findall(r"(?:^    .+\n(?:\n+(?=    ))?)+", text, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in found]


def files() -> dict[str, str]:
    """The blocks that are files, by name."""
    return {block.split()[1]: block for block in blocks() if re.match(r"# \w+\.py\n", block)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's files and a few tasks, where Python finds modules."""
    for name, content in files().items():
        (tmp_path / name).write_text(content)
    write_tasks(tmp_path / "tasks")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for module in ("copying", "shown"):
        sys.modules.pop(module, None)
    return tmp_path


def new_run(folder: Path, recipe: str, name: str = "a", **settings: Any) -> RunDirectory:
    small = {"recipe": recipe, "dataset": str(folder / "tasks"), "epochs": 1, "threads": 1, "device": "cpu"}
    config = resolve(small | {"name": name} | settings)
    return create_run(folder / "runs", name, describe_run(config, ["arc-tui", "train"]))


def test_every_block_is_a_file_or_what_is_tested_beside_it() -> None:
    others = [block for block in blocks() if not re.match(r"# \w+\.py\n", block)]
    assert set(files()) == {"tiny.py", "kept.py", "copying.py", "test_copying.py", "shown.py"}
    commands = [line for block in others for line in block.splitlines() if line.startswith("$ ")]
    assert commands == [
        "$ python tiny.py &",
        "$ arc-tui attach tiny",
        "$ PYTHONPATH=. arc-tui train --recipe copying:Copying",
    ]
    (entry,) = [block for block in others if not block.startswith("$ ")]
    assert entry in (DOCS / "examples" / "recursive_planner" / "pyproject.toml").read_text()


def test_ten_lines_make_a_run(folder: Path) -> None:
    assert len([line for line in files()["tiny.py"].splitlines()[1:] if line]) <= 10
    (folder / "tiny.py").write_text(files()["tiny.py"].replace("50_000", "2_000"))
    runpy.run_path("tiny.py")
    run = trusted_run(folder / "runs" / "tiny")
    losses = [step["loss"]["loss"] for step in told(run, "step")]
    assert len(losses) == 2000
    assert losses[-1] < 0.01 * losses[0]
    assert told(run, "run_finished")[0]["reason"] == "completed"


def test_a_loop_of_ones_own_goes_on_to_the_bit_where_it_was_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(name: str) -> dict[int, dict[str, Any]]:
        (folder / f"{name}.py").write_text(files()["kept.py"].replace('"kept"', f'"{name}"'))
        torch.manual_seed(0)
        runpy.run_path(f"{name}.py")
        return measured(told(trusted_run(folder / "runs" / name), "step"))

    def log_and_stop(run: TrackedRun, step: int, **numbers: object) -> None:
        log(run, step, **numbers)
        if step == 12:
            send(run.directory.commands, "stop")

    whole, log = trained("whole"), TrackedRun.log
    with monkeypatch.context() as patched:
        patched.setattr(TrackedRun, "log", log_and_stop)
        assert len(trained("cut")) == 12
    assert len(whole) == 30
    assert trained("cut") == whole


def test_the_recipe_trains_and_resumes_to_the_bit(folder: Path) -> None:
    whole, cut = (new_run(folder, "copying:Copying", name, checkpoint_every=1) for name in ("whole", "cut"))
    assert train(whole) == "completed"
    train(cut, lambda trainer: stop_after(trainer, 5))
    train(cut)
    assert len(measured(told(whole, "step"))) == 12
    assert measured(told(cut, "step")) == measured(told(whole, "step"))


def test_the_recipe_with_panels_tells_what_it_declares(folder: Path) -> None:
    run = new_run(folder, "shown:Shown", tests=4)
    train(run)
    declared = declaration_of(run.read())
    assert run.read()["config"]["tests"] == 4
    assert declared.claims == {"net": "one convolution"}
    assert {"loss", "right"} <= told(run, "step")[0].keys()
    assert {"input", "answer", "target"} <= told(run, "sample")[0].keys()
    (validation,) = told(run, "validation")
    assert validation["inputs"] == 4
    assert len(list(EventReader(run.events))) > 12


@pytest.mark.slow
def test_the_check_of_the_recipe_passes(folder: Path) -> None:
    test = runpy.run_path("test_copying.py")["test_runs_of_copying_keep_their_promises"]
    test(folder / "checked")  # with the settings of the page: ARC-AGI-2, one pair a step
