"""Test-time training: it learns, it is reproducible, and it never sees a test output."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from arc_core.base.errors import CheckpointError, ConfigError, DataError
from arc_core.data.seen import SeenTasks
from arc_core.data.tasks import Pair, Task, load_tasks
from arc_core.evaluation.pace import Cost, MachinePace, measure_pace
from arc_core.solver.adaptation import rate_factor
from arc_core.solver.config import SolverConfig
from arc_core.solver.solver import Solver
from arc_core.solver.start import SolverStart, fresh_net, snapshot_steps
from arc_core.solver.weights import load_weights, save_weights
from arc_core.solver.weights_file import (
    NOTES,
    TASK_PROMPTS,
    find_weights,
    fit_config,
    parse_notes,
    read_notes,
)

SMALL = {"width": 16, "prompt_dim": 16, "steps": 2, "context_dim": 4, "color_maps": 2, "amp": "off"}
CONFIG = SolverConfig.from_mapping(SMALL | {"batch_cells": 300})


def recolor_task(seed=0, pairs=4, test=1):
    """Every 1 becomes 2: a rule that a few steps learn."""
    rng = np.random.default_rng(seed)

    def pair():
        grid = rng.integers(0, 2, (4, 5)).astype(np.int8)
        return Pair(grid, grid * 2)

    return Task("recolor", tuple(pair() for _ in range(pairs)), tuple(pair() for _ in range(test)))


def said(answers):
    return [
        (
            answer.size_rule,
            answer.single.tolist(),
            [grid.tolist() for grid in answer.choice.attempts],
            answer.choice.confidence,
        )
        for answer in answers
    ]


def test_it_learns_a_rule_from_the_demonstrations_and_applies_it():
    task = recolor_task(test=2)
    answers = Solver(task, replace(CONFIG, adapt_lr=5e-3)).solve(60)
    for answer, pair in zip(answers, task.test, strict=True):
        assert (answer.choice.attempts[0] == pair.output).all()
        assert (answer.single == pair.output).all()
        assert answer.choice.confidence[0] > 0.9
        assert answer.size_rule == "same"


def test_the_same_seed_gives_the_same_answers_and_another_one_others():
    task = load_tasks("arcagi1", "evaluation").tasks[0]
    first, again, other = (said(Solver(task, CONFIG, seed=seed).solve(4)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_answers_do_not_depend_on_what_was_solved_before_in_the_process():
    tasks = load_tasks("arcagi1", "evaluation").tasks[:2]
    alone = said(Solver(tasks[1], CONFIG).solve(3))
    Solver(tasks[0], CONFIG).solve(2)
    torch.rand(5)
    assert said(Solver(tasks[1], CONFIG).solve(3)) == alone


def test_replacing_the_test_outputs_changes_no_answer():
    task = load_tasks("arcagi1", "evaluation").tasks[3]
    changed = Task(task.id, task.train, tuple(Pair(p.input, np.zeros((2, 2), np.int8)) for p in task.test))
    assert said(Solver(task, CONFIG).solve(4)) == said(Solver(changed, CONFIG).solve(4))


def test_where_no_rule_gives_the_size_the_size_head_offers_two():
    rng = np.random.default_rng(0)
    sizes = [(3, 4), (5, 2), (4, 4), (1, 6)]
    pairs = [Pair(rng.integers(0, 10, (6, 6)).astype(np.int8), np.ones(size, np.int8)) for size in sizes]
    solver = Solver(Task("sizes", tuple(pairs), (Pair(pairs[0].input, None),)), CONFIG)
    answers = solver.solve(3)
    assert answers[0].size_rule == "none"
    (places,) = solver.starts[0].placements()
    assert len({placement.size for placement in places}) == 2


def test_a_watcher_sees_the_loss_fall_and_the_demonstrations_come_right():
    looks = []
    Solver(recolor_task(), replace(CONFIG, adapt_lr=5e-3)).solve(60, looks.append, looks=5)
    assert [look.step for look in looks] == [1, 12, 24, 36, 48, 60]
    assert looks[-1].loss < 0.1 * looks[0].loss
    assert all(looks[-1].exact)
    assert not all(looks[0].exact)
    assert looks[-1].demonstrations[0].shape == (4, 5)


def test_a_test_input_is_planned_alone_and_so_is_its_cost(monkeypatch):
    solver = Solver(recolor_task(), CONFIG)
    start = solver.starts[0]
    plan, counts = start._adaptation.plan, set()

    def counted(items):
        counts.add(len(items))
        return plan(items)

    monkeypatch.setattr(start._adaptation, "plan", counted)
    start.ballots()
    assert counts == {1}
    pace = MachinePace(train=Cost(1.0, 0.0), predict=Cost(0.0, 1e-3))
    views, cells = len(start.placed.views), 4 * 5
    assert pace.steps(solver, 100.0) == int(100 - solver.config.snapshots * views * cells * 1e-3)


def test_demonstrations_beside_a_test_input_change_nothing():
    solver = SolverStart(recolor_task(), CONFIG)
    query = solver.placed.query_item(0, solver.placements()[0][0], 3)
    _, alone = solver._adaptation.plan([query])
    _, beside = solver._adaptation.plan([*solver.placed.demonstrations(3), query])
    torch.testing.assert_close(alone.logits[-1], beside.logits[-1], atol=1e-5, rtol=1e-5)


def test_watching_changes_no_answer():
    task = recolor_task()
    assert said(Solver(task, CONFIG).solve(5, lambda look: None)) == said(Solver(task, CONFIG).solve(5))


def test_weights_come_back_from_float16_with_what_they_were_trained_on(tmp_path):
    net = fresh_net(CONFIG, 3)
    seen = SeenTasks(frozenset({"a"}), frozenset({"b"}))
    size = save_weights(tmp_path / "w.safetensors", CONFIG, seen, {"seed": 3}, net.state_dict())
    assert size == (tmp_path / "w.safetensors").stat().st_size
    weights = load_weights(tmp_path / "w.safetensors")
    assert (weights.notes.seen, weights.notes.recipe) == (seen, {"seed": 3})
    assert read_notes(tmp_path / "w.safetensors") == weights.notes
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(weights.tensors[name], tensor, atol=1e-3, rtol=1e-3)
    config = fit_config(weights.notes, {"adapt_lr": 0.5})
    assert (config.width, config.adapt_lr) == (16, 0.5)
    Solver(recolor_task(), config, weights.tensors)
    with pytest.raises(CheckpointError, match="have width 16, not 64"):
        fit_config(weights.notes, {"width": 64})


def test_weights_that_are_none_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no weights"):
        load_weights(tmp_path / "none")
    (tmp_path / "bad").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_weights(tmp_path / "bad")
    with pytest.raises(CheckpointError, match="holds no weights"):
        read_notes(tmp_path / "bad")
    with pytest.raises(CheckpointError, match="no weights"):
        find_weights(str(tmp_path / "none"))
    assert find_weights("none") is None
    net = fresh_net(CONFIG, 0)
    huge = {**net.state_dict(), "colors.bias": torch.full((10,), 1e9)}
    with pytest.raises(CheckpointError, match=r"colors\.bias do not fit float16"):
        save_weights(tmp_path / "w", CONFIG, SeenTasks(), {}, huge)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colors.bias": None}, "colors.bias is missing or does not belong"),
        ({"stranger": torch.zeros(1)}, "stranger is missing or does not belong"),
        ({"colors.bias": torch.zeros(9)}, "colors.bias is of another shape"),
        ({TASK_PROMPTS: torch.zeros(3, 8, 15)}, "task_prompts is of another shape"),
        ({TASK_PROMPTS: torch.zeros(3, 2, 16)}, "task_prompts do not fit"),
        ({TASK_PROMPTS: torch.zeros(3)}, "task_prompts do not fit"),
        ({TASK_PROMPTS: torch.zeros(0, 8, 16)}, "task_prompts do not fit"),
    ],
)
def test_weights_that_are_not_what_their_notes_say_are_refused_by_name(tmp_path, change, sentence):
    net = fresh_net(CONFIG, 0)
    tensors = {name: t for name, t in (net.state_dict() | change).items() if t is not None}
    save_weights(tmp_path / "w", CONFIG, SeenTasks(), {}, tensors)
    with pytest.raises(CheckpointError, match=f"cannot be used as weights: {sentence}"):
        load_weights(tmp_path / "w")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    net = fresh_net(CONFIG, 0)
    notes = {"architecture": CONFIG.architecture(), "seen": SeenTasks().to_json(), "recipe": {}}
    tensors = {name: t.contiguous() for name, t in net.state_dict().items()}
    save_file(tensors | {"colors.bias": torch.full((10,), torch.nan)}, tmp_path / "w",
              {NOTES: json.dumps(notes)})  # fmt: skip
    with pytest.raises(CheckpointError, match=r"colors\.bias is of another shape or not finite"):
        load_weights(tmp_path / "w")


def test_pretrained_prompts_come_back_with_the_weights(tmp_path):
    net = fresh_net(CONFIG, 0)
    prompts = {TASK_PROMPTS: torch.randn(3, 8, 16)}
    save_weights(tmp_path / "w", CONFIG, SeenTasks(), {}, net.state_dict() | prompts)
    torch.testing.assert_close(
        load_weights(tmp_path / "w").tensors[TASK_PROMPTS], prompts[TASK_PROMPTS], atol=2e-3, rtol=2e-3
    )


def test_steps_follow_from_the_budget_alone_and_grow_with_it():
    ticks = iter(range(10**6))
    pace = measure_pace(CONFIG, clock=lambda: float(next(ticks)))
    assert MachinePace.from_json(pace.to_json()) == pace
    fixed = MachinePace.from_json(
        {"train": {"fixed": 0.01, "per_cell": 1e-5}, "predict": {"fixed": 0, "per_cell": 0}}
    )
    solver = Solver(recolor_task(), CONFIG)
    a_step = 0.01 + 1e-5 * solver.starts[0].views_a_step * 4 * 20
    assert fixed.steps(solver, 10 * a_step + 1e-9) == 10
    assert fixed.steps(solver, 0.0) == 1
    assert fixed.steps(solver, 1e9) == CONFIG.max_steps
    with pytest.raises(DataError, match="pace"):
        MachinePace.from_json({"train": {}})


def test_rates_rise_then_fall_and_the_last_step_votes():
    rates = [rate_factor(step, 100) for step in range(100)]
    assert rates[0] < rates[4] == max(rates)
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 100 in snapshot_steps(100, 3)
    assert len(snapshot_steps(100, 3)) == 3
    assert snapshot_steps(1, 3) == {1}


def test_settings_are_checked_by_name():
    assert SolverConfig.from_mapping({"adapt-lr": "0.1"}, text=True).adapt_lr == 0.1
    with pytest.raises(ConfigError, match="no setting widht; did you mean width"):
        SolverConfig.from_mapping({"widht": 48})
    with pytest.raises(ConfigError, match="warm_up small is not there any more"):
        SolverConfig.from_mapping({"warm_up": "small"})
    with pytest.raises(
        ConfigError, match=r"holdout 0\.3 is not there any more: this version has holdout 0\.0"
    ):
        SolverConfig.from_mapping({"holdout": 0.3})


def test_weights_of_earlier_versions_name_options_that_are_gone_at_the_values_that_are_left():
    architecture = CONFIG.architecture()
    older = {"blocks": "untied", "context": "pool", "fusion": "film"}
    notes = {"architecture": architecture | older, "seen": SeenTasks().to_json(), "recipe": {}}
    assert fit_config(parse_notes(notes, "w"), {}).architecture() == architecture
    other = parse_notes({**notes, "architecture": architecture | older | {"context": "none"}}, "w")
    with pytest.raises(ConfigError, match="context none is not there any more"):
        fit_config(other, {})


def test_settings_of_earlier_versions_mean_what_they_meant():
    switches = {"bidirectional": "off", "prompt_consistency": "off", "warm_up": "off", "rl_refinement": 0.0}
    weights = {"lambda_bi": 0.5, "lambda_prompt": 0.3}  # of what was off
    older = {**SolverConfig().to_dict(), **switches, **weights}
    assert SolverConfig.from_mapping(older) == SolverConfig()
    assert SolverConfig.from_mapping(weights).lambda_bi == 0.5
    for name, value in (
        ("bidirectional", "planner"),
        ("prompt_consistency", "outcome"),
        ("rl_refinement", 0.2),
    ):
        with pytest.raises(
            ConfigError, match=f"{name} {value} is not there any more: this version has {name}"
        ):
            SolverConfig.from_mapping({**older, name: value})
