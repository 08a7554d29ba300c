"""A loop of one's own is a run: its directory, its events, its end."""

import json
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from raw_events import Line
from small_loop import Loop, lines, numbered, run_of, told, tracked, train

from arc_core.base.errors import ArcError, ConfigError, RunError, TrackError
from arc_core.run.declared import Declared, GridForm, GroupKind, NumberGroup
from arc_core.run.directory import is_alive
from arc_core.run.event_lines import validate_event
from arc_core.run.recipes import declaration_of


def log_once(folder: Path, **logged: Any) -> Line:
    """Log one step, and return its event."""
    with tracked(folder) as run:
        run.log(1, **logged)
    return told(folder, "step")[0]


def groups(folder: Path) -> dict[str, tuple[GroupKind, list[str]]]:
    declared = declaration_of(run_of(folder).read())
    return {group.name: (group.kind, [n.name for n in group.numbers]) for group in declared.groups}


def test_run_directory_is_as_train_makes_it_and_its_lock_is_held(tmp_path: Path):
    with tracked(tmp_path, config={"width": 8, "note": "first", "deep": None}) as run:
        found = run_of(tmp_path)
        assert stat.S_IMODE(found.path.stat().st_mode) == 0o700
        assert is_alive(found)
        content = found.read()
        assert (
            content["config"] | {"recipe": "track", "width": 8, "note": "first", "deep": None}
            == (content["config"])
        )
        assert content["versions"]["torch"] == torch.__version__
        assert content.keys() >= {"created", "argv", "git"}
        run.log(1, loss=1.0)
    assert not is_alive(found)
    assert found.engine_log.read_bytes() == b""
    assert [line["type"] for line in lines(tmp_path)] == ["run_started", "declared", "step", "run_finished"]
    assert lines(tmp_path)[-1]["reason"] == "completed"


def test_every_event_has_the_form_that_the_run_declares(tmp_path: Path):
    loop = Loop()
    with tracked(tmp_path) as run:
        run.saves(model=loop.model, optimizer=loop.optimizer)
        for step, batch in run.steps(loop.loader, epochs=2):
            run.log(step, **loop.train(batch))
            run.validated(step, cell_accuracy=0.5, exact=1, inputs=4, tta=0.25)
    declared = declaration_of(run_of(tmp_path).read())
    assert [validate_event(line, declared) for line in lines(tmp_path)] == [[]] * len(lines(tmp_path))


def test_steps_are_counted_through_the_passes_and_each_pass_ends_with_its_means(tmp_path: Path):
    train(tmp_path, Loop())
    steps, epochs = told(tmp_path, "step"), told(tmp_path, "epoch")
    assert [(s["step"], s["epoch"], s["batch"]) for s in steps] == [(n + 1, n // 6, n % 6) for n in range(12)]
    assert [s["pairs"] for s in steps] == [4] * 12
    for number, epoch in enumerate(epochs):
        losses = [s["loss"]["loss"] for s in steps if s["epoch"] == number]
        assert epoch["loss"]["loss"] == pytest.approx(sum(losses) / 6, abs=1e-12)
    assert [e["epoch"] for e in epochs] == [0, 1]
    assert run_of(tmp_path).read()["plan"]["total_steps"] == 12


def test_loader_without_a_length_has_no_plan(tmp_path: Path):
    with tracked(tmp_path) as run:
        taken = [step for step, _ in run.steps(numbered(3))]
    assert taken == [1, 2, 3]
    assert "plan" not in run_of(tmp_path).read()


def test_passes_may_be_asked_for_one_by_one(tmp_path: Path):
    with tracked(tmp_path) as run:
        for epoch in range(2):
            for step, batch in run.steps([5, 6]):
                run.log(step, loss=batch)
            assert run.epoch == epoch + 1
    assert [(s["step"], s["epoch"], s["batch"]) for s in told(tmp_path, "step")] == [
        (1, 0, 0),
        (2, 0, 1),
        (3, 1, 0),
        (4, 1, 1),
    ]


def test_pass_that_is_broken_off_ends_when_the_next_begins(tmp_path: Path):
    with tracked(tmp_path) as run:
        for step, _ in run.steps([1, 2, 3]):
            run.log(step, loss=0.0)
            if step == 2:
                break
        for step, _ in run.steps([1]):
            run.log(step, loss=0.0)
    assert [(s["step"], s["epoch"], s["batch"]) for s in told(tmp_path, "step")] == [
        (1, 0, 0),
        (2, 0, 1),
        (3, 1, 0),
    ]


def test_loose_numbers_of_any_kind_find_their_groups(tmp_path: Path):
    event = log_once(
        tmp_path,
        loss=torch.tensor(0.5),
        aux_loss=np.float32(0.25),
        accuracy=torch.tensor([0.75]),
        solved=np.int64(3),
        right=True,
        lr=1e-3,
        grad_norm=2,
    )
    assert event["loss"] == {"loss": 0.5, "aux_loss": 0.25}
    assert event["metrics"] == {"accuracy": 0.75, "solved": 3, "right": 1}
    assert event["learning_rate"] == {"model": 1e-3}
    assert event["grad_norm"] == {"model": 2}
    kinds = {name: kind for name, (kind, _) in groups(tmp_path).items()}
    assert kinds == {
        "loss": GroupKind.SERIES,
        "metrics": GroupKind.SERIES,
        "learning_rate": GroupKind.SCHEDULE,
        "grad_norm": GroupKind.NORMS,
    }


def test_parts_of_a_loss_with_their_total_are_contributions(tmp_path: Path):
    log_once(tmp_path, loss={"ce": 1.0, "halt": 0.5, "total": 1.5}, ema_loss=1.0, speed={"ms": 2})
    assert groups(tmp_path) == {
        "loss": (GroupKind.CONTRIBUTIONS, ["ce", "halt", "total"]),
        "metrics": (GroupKind.SERIES, ["ema_loss"]),
        "speed": (GroupKind.SERIES, ["ms"]),
    }
    assert declaration_of(run_of(tmp_path).read()).by_name["loss"].totals == ("total",)


def test_new_names_are_declared_before_the_step_that_has_them(tmp_path: Path):
    with tracked(tmp_path) as run:
        run.log(1, loss=1.0)
        run.log(2, loss=1.0)
        run.log(3, loss=1.0, extra=2.0, grids={"input": [[1]]})
        assert groups(tmp_path)["metrics"] == (GroupKind.SERIES, ["extra"])
    kinds = [line["type"] for line in lines(tmp_path)]
    assert kinds == ["run_started", "declared", "step", "step", "declared", "step", "run_finished"]


def test_number_that_is_not_finite_is_null_and_named(tmp_path: Path):
    event = log_once(tmp_path, loss=float("nan"), accuracy=torch.tensor(float("inf")))
    assert event["loss"]["loss"] is None
    assert event["nonfinite"] == ["loss.loss", "metrics.accuracy"]


def test_grids_are_shown_every_so_often_and_a_callable_costs_nothing_until_then(tmp_path: Path):
    asked: list[int] = []

    def grids() -> dict[str, Any]:
        asked.append(run.step)
        return {"input": np.ones((2, 3), int), "prediction": [[1, 2, 3]], "target": torch.tensor([[9]])}

    with tracked(tmp_path, sample_every=3) as run:
        for step, _ in run.steps(range(7)):
            run.log(step, grids=grids, task="0ca9ddb6", pair=1)
    assert asked == [1, 4, 7]
    sample = told(tmp_path, "sample")[0]
    assert (sample["input"], sample["prediction"], sample["target"]) == (["111", "111"], ["123"], ["9"])
    assert (sample["task"], sample["pair"], sample["step"]) == ("0ca9ddb6", 1, 1)
    declared = declaration_of(run_of(tmp_path).read())
    assert [(grid.name, grid.judged) for grid in declared.grids] == [
        ("input", False),
        ("prediction", True),
        ("target", False),
    ]
    assert declared.target == "target"


DECLARED = Declared((NumberGroup.of("parts", GroupKind.SERIES, "a", "b"),), (GridForm("seen"),))


def test_what_is_declared_is_told_under_its_groups(tmp_path: Path):
    with tracked(tmp_path, declared=DECLARED) as run:
        run.log(1, a=1.0, b=2.0, grids={"seen": [[0]]})
    assert told(tmp_path, "step")[0]["parts"] == {"a": 1.0, "b": 2.0}
    assert told(tmp_path, "declared") == []


BAD_LOGS: dict[str, tuple[dict[str, Any], str]] = {
    "colour": ({"grids": {"seen": [[1, 2], [3, 12]]}}, "the grid seen holds 12 in row 1, column 1"),
    "ragged": ({"grids": {"seen": [[1, 2], [3]]}}, "the grid seen is ragged: row 1"),
    "side": ({"grids": {"seen": np.zeros((31, 2), int)}}, "the grid seen is 31x2"),
    "batch": ({"grids": {"seen": torch.zeros(2, 3, 3, dtype=torch.int)}}, "the grid seen holds [0, 0, 0] in"),
    "floats": ({"grids": {"seen": torch.zeros(2, 2)}}, "the grid seen holds 0.0 in row 0, column 0"),
    "vector": ({"a": torch.zeros(3)}, "a is 3 numbers, but must be one"),
    "text": ({"a": "much"}, "a is 'much', but must be a number"),
    "part": ({"parts": {"a": None}}, "parts.a is None, but must be a number"),
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_bad_log_is_refused_in_one_sentence_and_is_the_end_that_the_run_tells(tmp_path: Path, name: str):
    logged, sentence = BAD_LOGS[name]
    with pytest.raises(TrackError) as refused, tracked(tmp_path) as run:
        run.log(1, **logged)
    assert sentence in str(refused.value)
    assert str(refused.value).count("\n") == 0
    assert lines(tmp_path)[-1]["reason"] == str(refused.value)
    assert told(tmp_path, "step") == []


@pytest.mark.parametrize(
    ("logged", "sentence"),
    [
        ({"c": 1.0}, "c is declared in no group"),
        ({"parts": {"c": 1.0}}, "it tells parts.c, which is not declared"),
        ({"more": {"a": 1.0}}, "it tells the group more, which is not declared; declared: parts"),
        ({"a": 1.0, "grids": {"other": [[1]]}}, "The grid other is not declared; declared: seen"),
    ],
)
def test_what_is_not_declared_is_refused_where_there_is_a_declaration(
    tmp_path: Path, logged: dict[str, Any], sentence: str
):
    with pytest.raises(TrackError) as refused, tracked(tmp_path, declared=DECLARED) as run:
        run.log(1, **logged)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("logged", "sentence"),
    [({"step": 1.0}, "No group may be called"), ({"a.b": 1.0}, "'a.b'"), ({"seconds": {"a": 1}}, "seconds")],
)
def test_name_that_no_event_can_have_is_refused(tmp_path: Path, logged: dict[str, Any], sentence: str):
    step = logged.pop("step", None)
    with pytest.raises(TrackError) as refused, tracked(tmp_path) as run:
        run.log(1, **({"epoch": {"a": step}} if step else logged))
    assert sentence in str(refused.value)


def test_step_is_told_once_and_is_the_one_under_way(tmp_path: Path):
    with tracked(tmp_path) as run:
        for step, _ in run.steps([0]):
            with pytest.raises(TrackError, match="Step 7 cannot be told: the run is at step 1"):
                run.log(7, loss=0.0)
            run.log(step, loss=0.0)
            with pytest.raises(TrackError, match="Step 1 is told already"):
                run.log(step, accuracy=0.0)
        with pytest.raises(TrackError, match="must be a whole number from 1"):
            run.log(0, loss=0.0)


def test_own_numbering_may_leave_steps_out(tmp_path: Path):
    with tracked(tmp_path) as run:
        run.log(10, loss=0.0)
        run.log(20, loss=0.0, pairs=640)
    assert [(s["step"], s["batch"], s["pairs"]) for s in told(tmp_path, "step")] == [
        (10, 9, 10),
        (20, 19, 640),
    ]


def test_best_validation_is_ranked_by_score_else_by_exact_then_cells(tmp_path: Path):
    with tracked(tmp_path) as run:
        run.log(1, loss=0.0)
        assert run.validated(1, exact=1, inputs=4, cell_accuracy=0.5)
        assert not run.validated(1, exact=1, inputs=4, cell_accuracy=0.25)
        assert run.validated(1, exact=2, cell_accuracy=0.1, tta=3)
        assert not run.validated(1, tta=9.0)
        assert run.validated(1, score=3.0)
        assert not run.validated(1, score=float("nan"))
    found = told(tmp_path, "validation")
    assert found[2] | {"exact": 2, "cell_accuracy": 0.1, "numbers": {"tta": 3}} == found[2]
    assert found[0]["split"] == "validation"
    with pytest.raises(TrackError, match=r"exact is 1\.5, but it counts"), tracked(tmp_path, "b") as run:
        run.validated(0, exact=1.5)


def test_exception_leaves_its_traceback_in_engine_log_and_no_end(tmp_path: Path):
    def fails() -> None:
        with tracked(tmp_path) as run:
            run.log(1, loss=1.0)
            run.log(2, loss=1 / 0)

    with pytest.raises(ZeroDivisionError):
        fails()
    assert "ZeroDivisionError: division by zero" in run_of(tmp_path).engine_log.read_text()
    assert told(tmp_path, "run_finished") == []
    assert not is_alive(run_of(tmp_path))


def test_interrupt_is_an_end(tmp_path: Path):
    def interrupted() -> None:
        with tracked(tmp_path) as run:
            run.log(1, loss=1.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert told(tmp_path, "run_finished")[0]["reason"] == "interrupted"


def test_run_in_which_nothing_began_leaves_its_name_free(tmp_path: Path):
    with pytest.raises(TrackError, match="saves keeps modules"), tracked(tmp_path) as run:
        run.saves(model="a text")
    assert not run_of(tmp_path).path.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"config": {"betas": [0.9]}}, "The setting betas of the config is [0.9]"),
        ({"config": {"x": float("inf")}}, "The setting x of the config is inf"),
        ({"config": {"recipe": "mine"}}, "The config has a setting recipe"),
        ({"config": {"sample_every": 3}}, "The config has a setting sample_every"),
        ({"sample_every": 0}, "sample_every is 0, but must be"),
        ({"checkpoint_every": "often"}, "checkpoint_every is"),
        ({"name": "../x"}, "path separators are not allowed"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(tmp_path: Path, options: dict[str, Any], sentence: str):
    with pytest.raises((TrackError, ConfigError, RunError)) as refused:
        tracked(tmp_path, **options)
    assert sentence in str(refused.value)
    assert not (tmp_path / "runs").exists()


def test_name_that_is_taken_is_refused_unless_the_run_is_to_go_on(tmp_path: Path):
    with tracked(tmp_path) as run:
        run.log(1, loss=1.0)
        with pytest.raises(RunError, match="exists already"):
            tracked(tmp_path)
    with tracked(tmp_path, resume=True) as run:
        run.log(1, loss=1.0)
    assert told(tmp_path, "resumed")[0]["supersedes"] == 0
    with pytest.raises(TrackError, match="resume needs the name"):
        tracked(tmp_path, None, resume=True)


SURROUNDINGS = """
import torch
from torch.nn import functional as F
import arc_core

model = torch.nn.Sequential(torch.nn.Embedding(10, 8), torch.nn.Linear(8, 10))
optimizer = torch.optim.AdamW(model.parameters())
loader = [(x := torch.randint(0, 10, (4, 3, 3)), 9 - x) for _ in range(5)]

def train(x, y):
    logits = model(x)
    loss = F.cross_entropy(logits.flatten(0, 2), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    cells = logits.argmax(-1)
    return loss, (cells == y).float().mean(), cells
"""


def test_what_the_readme_shows_runs(tmp_path: Path):
    text = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    shown = text.split("## Your own loop")[1].split("\n\n")[2]
    assert "arc_core.track(" in shown
    (tmp_path / "mine.py").write_text(SURROUNDINGS + textwrap.dedent(shown))
    done = subprocess.run([sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line["step"] for line in told(tmp_path, "step", "trm")] == list(range(1, 16))


def test_run_of_a_recipe_is_not_gone_on_with(tmp_path: Path):
    with tracked(tmp_path) as run:
        run.log(1, loss=1.0)
    found = run_of(tmp_path)
    found.run_json.write_text(json.dumps(found.read() | {"config": {"recipe": "pipeline"}}))
    with pytest.raises(ArcError, match="trains the recipe pipeline"):
        tracked(tmp_path, resume=True)
