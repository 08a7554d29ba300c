"""The whole pipeline on one task: it learns, it is reproducible, and it never sees a test output."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_run import new_run, opened, train

from arc_core.data.tasks import Pair, Task, load_tasks
from arc_core.evaluation import pipeline as pipeline_solver
from arc_core.evaluation.pace import Cost, MachinePace, measure_pipeline_pace, pipeline_steps
from arc_core.evaluation.pipeline import Pipeline, PipelineSolver, likeliest_sizes
from arc_core.evaluation.pipeline_start import find_run_checkpoint, settle, solving_config
from arc_core.pipeline.step import training_step
from arc_core.pipeline.validation import predict

SMALL = {
    **{"hidden_dim": 16, "prompt_dim": 16, "max_steps": 2, "memory_capacity": 8, "batch_size": 2},
    **{"amp": "off", "agent_lr": 3e-3, "qwen_lr": 1e-3},
}


def small_pipeline(**settings):
    return Pipeline(solving_config(settle(None, None, SMALL | settings), 0))


@pytest.fixture(scope="module")
def pipeline():
    return small_pipeline()


def recolor_task(name="recolor", seed=0, test=1, pairs=3):
    """Every 1 becomes 2."""
    rng = np.random.default_rng(seed)

    def pair():
        grid = rng.integers(0, 2, (3, 4)).astype(np.int8)
        return Pair(grid, grid * 2)

    return Task(name, tuple(pair() for _ in range(pairs)), tuple(pair() for _ in range(test)))


def said(answers):
    return [
        (a.size_rule, a.single.tolist(), [g.tolist() for g in a.choice.attempts], a.choice.confidence)
        for a in answers
    ]


def test_it_learns_a_rule_from_the_demonstrations_and_applies_it():
    task = recolor_task(test=2, pairs=6)
    solver = PipelineSolver(task, small_pipeline(augment=False, hidden_dim=32, batch_size=6))
    before = solver.look(0, 0.0)
    answers = solver.solve(80)
    assert not any(before.exact)
    assert all(solver.look(80, 0.0).exact)
    for answer, pair in zip(answers, task.test, strict=True):
        assert (answer.choice.attempts[0] == pair.output).all()
        assert (answer.single == pair.output).all()


def test_the_same_seed_gives_the_same_answers_and_another_one_others(pipeline):
    task = load_tasks("arcagi1").tasks[0]
    first, again, other = (said(PipelineSolver(task, pipeline, seed).solve(3)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_answers_do_not_depend_on_what_was_solved_before_in_the_process():
    pipeline = small_pipeline(agent_lr=1e-2, augment=False)
    tasks = recolor_task("first"), recolor_task("second", seed=1)
    alone = said(PipelineSolver(tasks[1], pipeline).solve(3))
    # Enough steps to store pairs in the memory, which the next task must not find there.
    earlier = PipelineSolver(tasks[0], pipeline)
    earlier.adapt(12)
    assert len(earlier.system.memory) > 0
    torch.rand(5)
    later = PipelineSolver(tasks[1], pipeline)
    assert len(later.system.memory) == 0
    assert said(later.solve(3)) == alone


def test_replacing_the_test_outputs_changes_no_answer(pipeline):
    task = recolor_task(test=2)
    changed = Task(task.id, task.train, tuple(Pair(p.input, np.full((7, 7), 5, np.int8)) for p in task.test))
    assert said(PipelineSolver(task, pipeline).solve(3)) == said(PipelineSolver(changed, pipeline).solve(3))


def test_a_demonstration_is_trained_with_the_others_as_its_context_and_never_with_itself(pipeline):
    task = recolor_task()
    solver = PipelineSolver(task, pipeline)
    batches = solver.batches()
    seen = []
    while len(seen) < 6:
        epoch, batch = next(batches)
        assert epoch == len(seen) // 3
        seen += batch.pair_indices
        owners = [owner for some in batch.prompt_inputs.demonstrations for owner in some.owner.tolist()]
        assert [owners.count(k) for k in range(len(batch))] == [2] * len(batch)
        assert batch.targets is not None
    assert sorted(seen[:3]) == sorted(seen[3:]) == [0, 1, 2]
    for example in solver.demonstrations:
        own = task.train[example.pair_index]
        assert all(pair is not own for pair in example.context)
    assert [len(example.context) for example in solver.queries] == [3]
    assert all(example.target is None for example in solver.queries)


@pytest.mark.parametrize("refine", [True, False])
def test_its_own_answer_is_what_a_run_validates_with_and_comes_first(refine):
    task = load_tasks("arcagi1").tasks[5]
    solver = PipelineSolver(task, small_pipeline(refine=refine))
    solver.adapt(3)
    ballots = solver.ballots(solver.queries)
    answers = predict(solver.system, solver.queries, 8)
    for found, answer in zip(ballots, answers, strict=True):
        assert len(found) == (4 if refine else 2)
        assert np.array_equal(found[0].grid, answer.after.numpy())
        assert found[0].shares.shape != found[1].shares.shape
        if refine:
            assert np.array_equal(found[2].grid, answer.before.numpy())
        assert np.allclose(found[0].shares.sum(axis=-1), 1.0, atol=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_likeliest_sizes_are_those_of_a_search_over_all(seed, batch):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (batch, 2, 30)).astype(np.float32)
    sizes, likelihoods = likeliest_sizes(torch.from_numpy(logits))
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    shares /= shares.sum(axis=-1, keepdims=True)
    for row in range(batch):
        every = sorted(
            ((shares[row, 0, h] * shares[row, 1, w], h + 1, w + 1) for h in range(30) for w in range(30)),
            reverse=True,
        )
        for rank in range(2):
            assert sizes[row, rank].tolist() == list(every[rank][1:])
            assert likelihoods[row, rank].item() == pytest.approx(every[rank][0], rel=1e-4)


def test_a_constant_term_of_the_loss_changes_no_answer_and_one_with_a_gradient_does():
    task = load_tasks("arcagi1").tasks[0]

    def votes(**settings):
        solver = PipelineSolver(task, small_pipeline(**settings))
        solver.adapt(2)
        return [ballot.shares for ballot in solver.ballots(solver.queries)[0]]

    def equal(first, second):
        return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))

    plain = votes()
    assert equal(plain, votes(lambda_step=0.0))
    for term in ("lambda_risk", "lambda_bi", "lambda_prompt", "hard_cell_gain", "reward_weight"):
        assert not equal(plain, votes(**{term: 0.0})), term


def test_nothing_is_told_before_a_step_and_the_last_step_is_always_told(pipeline):
    told = []
    PipelineSolver(recolor_task(), pipeline).solve(5, told.append, looks=2)
    assert [look.step for look in told] == [1, 2, 4, 5]
    assert all(len(look.demonstrations) == 3 and len(look.queries) == 1 for look in told)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 12 steps in 2 epochs, and its trainer as resumed at its end."""
    run = new_run(tmp_path_factory.mktemp("pipeline"), epochs=2)
    train(run)
    return run


def start_of(run):
    found = find_run_checkpoint(str(run.path), run.path.parent)
    return Pipeline(solving_config(settle(found, None, {}), 0), checkpoint=found.path)


def test_without_steps_it_answers_as_the_run_whose_checkpoint_it_starts_from(trained):
    start = start_of(trained)
    task = recolor_task(test=2)
    first = PipelineSolver(task, start)
    answers = first.solve(0)
    with opened(trained) as trainer:
        expected = predict(trainer.system, first.queries, 8)
        assert start.fresh_system().memory.bookkeeping == trainer.system.memory.bookkeeping
        assert start.fresh_system().memory_threshold.ema == trainer.system.memory_threshold.ema
    for answer, wanted in zip(answers, expected, strict=True):
        assert np.array_equal(answer.single, wanted.after.numpy())
    PipelineSolver(recolor_task("another", seed=3), start).solve(4)
    assert said(PipelineSolver(task, start).solve(0)) == said(answers)


def test_the_size_warm_up_goes_on_from_the_epoch_of_the_checkpoint(trained, pipeline, monkeypatch):
    epochs = []

    def watched(system, batch, epoch, step):
        epochs.append(epoch)
        return training_step(system, batch, epoch, step)

    monkeypatch.setattr(pipeline_solver, "training_step", watched)
    PipelineSolver(recolor_task(), pipeline).adapt(4)
    assert epochs == [0, 0, 1, 1]
    epochs.clear()
    PipelineSolver(recolor_task(), start_of(trained)).adapt(4)
    assert epochs == [2, 2, 3, 3]


def test_a_budget_buys_what_its_costs_say_and_measuring_them_changes_no_answer():
    start = small_pipeline(batch_size=1)
    task = recolor_task()
    before = said(PipelineSolver(task, start).solve(2))
    pace = measure_pipeline_pace(start)
    assert pace.train.fixed > pace.predict.fixed > 0
    assert said(PipelineSolver(task, start).solve(2)) == before
    solver = PipelineSolver(task, start)
    # One pair a step: 3x4 cells of input and as many of output; 4 inputs and outputs are answered.
    assert (solver.cells_a_step, solver.cells_of_answers) == (24.0, 96.0)
    known = MachinePace(Cost(0.1, 0.01), Cost(0.2, 0.001))
    assert pipeline_steps(known, solver, 10.0) == int((10.0 - 2 * (0.2 + 0.096)) / (0.1 + 0.24))
    assert pipeline_steps(known, solver, 0.1) == 1


def test_the_start_keeps_what_lora_learned_apart_from_its_base():
    start = small_pipeline(lm_train="lora")
    task = recolor_task()
    before = said(PipelineSolver(task, start).solve(0))
    solver = PipelineSolver(task, start)
    solver.adapt(3)
    adapters = {n: t.clone() for n, t in solver.system.qwen.language_model.adapter_state().items()}
    again = start.fresh_system().qwen.language_model.adapter_state()
    assert any(not torch.equal(adapters[name], tensor) for name, tensor in again.items())
    assert said(PipelineSolver(task, start).solve(0)) == before


def test_a_task_of_one_demonstration_is_adapted_to_without_a_context(pipeline):
    task = replace(recolor_task(), train=recolor_task().train[:1])
    solver = PipelineSolver(task, pipeline)
    (answer,) = solver.solve(2)
    assert solver.demonstrations[0].context == ()
    assert len(answer.choice.attempts) == 2
