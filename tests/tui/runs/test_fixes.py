"""The seven fixes are judged from the events: working, idle and failing, each with its evidence."""

import math
from typing import Any

import pytest
from raw_events import typed
from recordings import events_until_step

from arc_core.run.evidence import Work
from arc_tui.runs.fixes import NAMES, Fix, assess
from arc_tui.runs.history import History
from arc_tui.runs.state import RunState, reduce
from arc_tui.runs.view import Facts, RunView

STEP = events_until_step(40)[-1]


def view(
    changes: dict[str, Any] | None = None,
    config: dict[str, object] | None = None,
    step: int = 40,
    found: dict[str, Any] | None = None,
) -> RunView:
    """A run whose last step has other numbers, by dotted name, and maybe a validation that found some."""
    event = {k: dict(v) if isinstance(v, dict) else v for k, v in STEP.items()} | {"step": step}
    for name, value in (changes or {}).items():
        *group, last = name.split(".")
        (event[group[0]] if group else event)[last] = value
    validation = {"type": "validation", "seq": 2, "time": 1.0, "step": step, "split": "training"}
    state = reduce(typed([event, *([validation | found] if found else [])]))
    return RunView(state, History(), 0.0, True, facts=Facts("run", config or {}))


def judged(number: int, changes: dict[str, Any] | None = None, **options: Any) -> Fix:
    return assess(view(changes, **options))[number - 1]


def test_recorded_step_shows_all_seven_at_work():
    assert [fix.work for fix in assess(view())] == [Work.WORKING] * 7


def test_all_wait_before_the_first_step():
    fixes = assess(RunView(RunState(), History(), 0.0, True))
    assert [fix.name for fix in fixes] == list(NAMES)
    assert {fix.work for fix in fixes} == {Work.IDLE}


@pytest.mark.parametrize(
    ("number", "changes", "work", "evidence"),
    [
        (1, {"grad_norm.lm": 2.3e-4}, Work.WORKING, "2.3e-04"),
        (1, {"grad_norm.lm": 0.0}, Work.FAILING, "0.0e+00"),
        (1, {"grad_norm.lm": None}, Work.FAILING, "nan"),
        (2, {"reward.total": 5.0}, Work.FAILING, "+5.000"),
        (3, {"hard_cells.mask_ratio": 0.347}, Work.WORKING, "34.7%"),
        (3, {"hard_cells.mask_ratio": 0.005}, Work.IDLE, "0.5%"),
        (3, {"hard_cells.mask_ratio": None}, Work.FAILING, "nan%"),
        (4, {"curriculum.size_weight": 0.5}, Work.FAILING, "0.500"),
        (4, {"curriculum.size_weight": 0.5, "epoch": 3}, Work.IDLE, "0.500"),
        (5, {"memory.entries": 47}, Work.WORKING, "47 kept"),
        (5, {"memory.entries": 0}, Work.IDLE, "0 kept"),
        (5, {"memory.threshold": 0.9}, Work.FAILING, "184 kept"),
        (6, {"loss.prompt": None}, Work.FAILING, "nan"),
        (7, {"amp.dtype": "float32"}, Work.IDLE, "fp32"),
        (7, {"amp.dtype": "float16"}, Work.WORKING, "fp16"),
        (7, {"amp.skipped_steps": 39}, Work.FAILING, "bf16 -39"),
    ],
)
def test_numbers_decide(number: int, changes: dict[str, Any], work: Work, evidence: str):
    if number == 5 and evidence.startswith("184"):
        changes = changes | {"memory.entries": 184}
    fix = judged(number, changes)
    assert (fix.work, fix.evidence) == (work, evidence)


def test_memory_that_never_stores_fails_after_two_hundred_steps():
    assert judged(5, {"memory.entries": 0}, step=199).work is Work.IDLE
    assert judged(5, {"memory.entries": 0}, step=200).work is Work.FAILING


@pytest.mark.parametrize(
    ("number", "config"),
    [
        (1, {"lm_train": "frozen"}),
        (2, {"reward_weight": 0.0}),
        (3, {"hard_cell_gain": 0.0}),
        (4, {"size_warmup": False}),
        (5, {"memory": False}),
        (6, {"lambda_prompt": 0.0}),
    ],
)
def test_what_the_configuration_turns_off_is_idle(number: int, config: dict[str, object]):
    assert judged(number, config=config).work is Work.IDLE


def test_reward_weight_of_the_configuration_is_the_one_that_is_checked():
    efe, reward = STEP["loss"]["efe_total"], STEP["reward"]["total"]
    combined = 0.9 * efe - 0.1 * reward
    assert judged(2, {"loss.combined": combined}, config={"reward_weight": 0.1}).work is Work.WORKING
    assert judged(2, {"loss.combined": combined}, config={"reward_weight": 0.3}).work is Work.FAILING


def test_every_reason_is_a_sentence():
    assert all(fix.reason.endswith(".") and not math.isnan(fix.number) for fix in assess(view()))


@pytest.mark.parametrize(("now", "work"), [(1.0, Work.WORKING), (2.0, Work.FAILING)])
def test_prompt_term_that_has_risen_since_the_last_epoch_fails(now: float, work: Work):
    steps = [STEP | {"seq": n, "step": n, "loss": STEP["loss"] | {"prompt": now}} for n in range(1, 61)]
    epoch = {"type": "epoch", "seq": 61, "time": 0.0, "epoch": 0, "loss": {"prompt": 1.0}}
    history = History()
    events = typed([*steps, epoch])
    history.add(events)
    made = RunView(reduce(events), history, 0.0, True, facts=Facts("run", {}))
    assert assess(made)[5].work is work


@pytest.mark.parametrize(
    ("low", "high", "work"),
    [(0.03, 0.05, Work.WORKING), (-0.01, 0.05, Work.IDLE), (-0.05, -0.01, Work.FAILING)],
)
def test_what_a_validation_has_found_is_the_evidence_of_refinement_and_memory(
    low: float, high: float, work: Work
):
    middle = (low + high) / 2
    delta = {"accuracy_delta": middle, "numbers": {"delta from": low, "delta to": high}}
    lent = {"numbers": {"memory gain": middle, "memory from": low, "memory to": high}}
    for number, found in ((2, delta), (5, lent)):
        fix = judged(number, found=found)
        assert (fix.work, fix.evidence) == (work, f"{middle:+.2%}")
        assert f"({low:+.2%} to {high:+.2%})" in fix.reason


def test_a_validation_without_an_interval_leaves_the_evidence_as_it_was():
    found = {"accuracy_delta": 0.01, "numbers": {}}
    assert judged(2, found=found) == judged(2)
    assert judged(5, found=found) == judged(5)
