"""The memory lends, and the prompt finds its outcome: proved on real training steps.

Every proof is a test; the last test of this file takes each fix out and demands that its proof then fails.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small_system import real_batch, small_system, stand_still, step_and_flow, trained
from torch import Tensor

from arc_core.pipeline import loss as loss_module
from arc_core.pipeline.agent import one_hot
from arc_core.pipeline.batch import Batch
from arc_core.pipeline.curriculum import DynamicMemoryThreshold
from arc_core.pipeline.loss_terms import centred_outcomes
from arc_core.pipeline.memory import PermanentSolver, Recall
from arc_core.pipeline.step import training_step
from arc_core.pipeline.system import ArcSystem

Patch = pytest.MonkeyPatch


# The memory stores and lends


def test_threshold_starts_at_022_and_follows_every_steps_accuracy():
    system = small_system()
    mean = 0.2
    seen = []
    for number in range(1, 9):
        memory = training_step_memory(system, number)
        seen.append(memory["threshold"])
        assert seen[-1] == pytest.approx(1.1 * mean), "the threshold does not follow the accuracy"
        mean = 0.9 * mean + 0.1 * memory["accuracy"]
    assert seen[0] == pytest.approx(0.22)
    assert len(set(seen)) == 8, "the threshold stands still"


def training_step_memory(system: ArcSystem, number: int) -> dict[str, float]:
    result = training_step(system, real_batch(), 0, number)
    return {**result.memory, "accuracy": sum(result.cell_accuracy) / len(result.cell_accuracy)}


def test_pairs_at_or_above_the_threshold_are_stored_as_they_were_solved():
    system = small_system()
    best: dict[tuple[str, int], float] = {}
    for number in range(1, 16):
        batch = real_batch(4 * (number % 2))
        result, flow = step_and_flow(system, batch, step=number)
        grids = flow.after.grids(batch.inputs)
        expected = 0
        for index, accuracy in enumerate(result.cell_accuracy):
            key = batch.task_ids[index], batch.pair_indices[index]
            if accuracy < result.memory["threshold"] or accuracy < best.get(key, 0.0):
                continue
            expected += 1
            best[key] = accuracy
            assert key in system.memory.keys, "a solved pair is not stored"
            slot, (height, width) = system.memory.keys.index(key), grids[index].shape
            assert system.memory.accuracy[slot].item() == pytest.approx(accuracy)
            assert torch.equal(system.memory.features[slot], batch.prompt_inputs.summary[index])
            assert torch.equal(system.memory.prompts[slot], flow.prompt[index])
            assert torch.equal(system.memory.grids[slot, :height, :width], grids[index].to(torch.uint8))
        assert result.memory["stored"] == expected, "not the pairs at or above the threshold"
        assert (result.memory["entries"], set(system.memory.keys)) == (len(best), set(best))
    assert 0 < len(best) < 9


def test_each_stored_pair_moves_the_anchor_towards_its_colours():
    system = small_system()
    system.memory_threshold.ema = 0.0  # every pair is stored
    batch = real_batch()
    assert batch.targets is not None
    expected = system.efe_loss.anchor.clone()
    momentum = system.efe_loss.anchor_momentum
    for cells, (height, width) in zip(batch.targets.cells, batch.targets.sizes.tolist(), strict=True):
        shares = torch.bincount(cells[:height, :width].flatten(), minlength=10) / (height * width)
        expected = (1 - momentum) * expected + momentum * shares
    result, _ = step_and_flow(system, batch)
    assert result.memory["stored"] == 4
    torch.testing.assert_close(
        system.efe_loss.anchor, expected, msg="the anchor does not follow what is stored"
    )
    system.memory_threshold.ema = 1.0
    result, _ = step_and_flow(system, real_batch(4))
    assert result.memory["stored"] == 0
    torch.testing.assert_close(system.efe_loss.anchor, expected, msg="the anchor moves without a stored pair")


def learned_memory() -> ArcSystem:
    """A system whose memory was filled by training on four tasks, and trained by reading it."""
    system = trained(14, real_batch())
    assert len({task for task, _ in system.memory.keys}) >= 3, "too little is stored"
    return system


def base_prompts(system: ArcSystem, batch: Batch) -> tuple[Tensor, list[int]]:
    with torch.no_grad():
        flow = system.flow(batch, explore=False)
    return flow.base_prompt, flow.memory_hits.tolist()


def test_stored_pairs_are_retrieved_for_other_tasks_and_change_their_prompts():
    system = learned_memory()
    others = real_batch(4)
    with_memory, hits = base_prompts(system, others)
    assert hits == [len(system.memory)] * 4, "nothing is retrieved"
    assert system.config.memory
    system.config = replace(system.config, memory=False)
    without, none = base_prompts(system, others)
    assert none == [0] * 4
    change = (with_memory - without).norm(dim=1) / without.norm(dim=1)
    assert torch.all(change > 1e-3), "what is retrieved does not change the prompt"


def test_what_is_retrieved_is_trained():
    system = learned_memory()
    result, _ = step_and_flow(system, real_batch(4))
    assert result.grad_norm["memory"] > 0, "the memory has no gradient"


def test_entries_of_the_same_task_are_never_retrieved():
    system = learned_memory()
    batch = real_batch()
    before, hits = base_prompts(system, batch)
    entries = [task for task, _ in system.memory.keys]
    assert hits == [len(entries) - entries.count(task) for task in batch.task_ids], "its own are counted"
    for index, task in enumerate(batch.task_ids):
        if task not in entries:
            continue
        slots = torch.tensor([entry == task for entry in entries] + [False] * (1024 - len(entries)))
        kept = system.memory.prompts[slots].clone()
        system.memory.prompts[slots] = 100.0
        after, _ = base_prompts(system, batch)
        system.memory.prompts[slots] = kept
        assert torch.equal(after[index], before[index]), "a prompt reads its own task's entry"
        assert all(not torch.equal(after[i], before[i]) for i in range(4) if i != index)


def anchor_never_moved(patch: Patch) -> None:
    patch.setattr(loss_module.EFELoss, "move_anchor", lambda self, shares: None)


def threshold_never_updated(patch: Patch) -> None:
    patch.setattr(DynamicMemoryThreshold, "update", lambda self, accuracy: self.get_threshold())


def nothing_stored(patch: Patch) -> None:
    patch.setattr(PermanentSolver, "store", lambda self, *entries: [])


def everything_stored(patch: Patch) -> None:
    patch.setattr(DynamicMemoryThreshold, "get_threshold", lambda self: 0.0)


def retrieval_of_zeros(patch: Patch) -> None:
    def recall(self: PermanentSolver, features: Tensor, task_ids: Sequence[str]) -> Recall:
        found = read(self, features, task_ids)
        return replace(found, addition=torch.zeros_like(found.addition))

    read = PermanentSolver.recall
    patch.setattr(PermanentSolver, "recall", recall)


def own_entries_read_in_secret(patch: Patch) -> None:
    def recall(self: PermanentSolver, features: Tensor, task_ids: Sequence[str]) -> Recall:
        return replace(read(self, features, [""] * len(task_ids)), hits=read(self, features, task_ids).hits)

    read = PermanentSolver.recall
    patch.setattr(PermanentSolver, "recall", recall)


def own_entries_retrieved(patch: Patch) -> None:
    read = PermanentSolver.recall
    patch.setattr(PermanentSolver, "recall", lambda self, f, task_ids: read(self, f, [""] * len(task_ids)))


# The prompt finds its outcome

PROMPT_TERM_ALONE = {
    "lambda_risk": 0.0, "lambda_step": 0.0, "lambda_cons": 0.0, "lambda_bi": 0.0, "lambda_z": 0.0,
    "lambda_prompt": 1.0, "lambda_size": 0.0, "reward_weight": 0.0, "refine": False, "memory": False,
}  # fmt: skip


def cosines(prompts: Tensor, outcomes: Tensor) -> tuple[Tensor, Tensor]:
    """Of each prompt with its own outcome, and on average with the others'."""
    matrix = F.cosine_similarity(prompts[:, None], outcomes[None], dim=-1)
    own = matrix.diagonal()
    return own, (matrix.sum(dim=1) - own) / (len(matrix) - 1)


def outcomes_of(system: ArcSystem, batch: Batch) -> Tensor:
    """The embeddings that the term holds prompts against: without what all outcomes share."""
    assert batch.targets is not None
    with torch.no_grad():
        outcome = system.efe_loss.outcome(
            one_hot(batch.targets.cells, batch.targets.mask), batch.targets.mask
        )
        return centred_outcomes(outcome, outcome[:0])[0]


def rises_of_a_step_down_the_prompts_gradient(seed: int) -> tuple[Tensor, Tensor]:
    """How much a small step of the prompts along a training step's gradient raises both cosines."""
    system = stand_still(small_system(seed, **PROMPT_TERM_ALONE))
    batch = real_batch(4 * seed)
    _, flow = step_and_flow(system, batch)
    assert flow.prompt.grad is not None
    old, new = flow.prompt.detach(), (flow.prompt - 0.1 * flow.prompt.grad).detach()
    outcomes = outcomes_of(system, batch)
    (own, others), (own_now, others_now) = cosines(old, outcomes), cosines(new, outcomes)
    return own_now - own, others_now - others


SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
def test_step_on_the_prompt_term_raises_the_cosine_with_the_own_outcome_most(seed: int):
    own, others = rises_of_a_step_down_the_prompts_gradient(seed)
    assert torch.all(own > 0), "the cosine with its own outcome does not rise"
    assert torch.all(own > others), "the cosine with the others' outcomes rises as much"


def test_step_on_the_prompt_term_does_not_raise_the_cosine_with_the_others_outcomes():
    rises = torch.stack([rises_of_a_step_down_the_prompts_gradient(seed)[1].mean() for seed in SEEDS])
    assert torch.all(rises < 0), "the cosine with the others' outcomes rises"


@pytest.mark.parametrize("seed", SEEDS)
def test_training_step_on_the_prompt_term_raises_the_cosine_with_the_own_outcome_most(seed: int):
    system = small_system(seed, agent_lr=1e-4, qwen_lr=1e-4, **PROMPT_TERM_ALONE)
    batch = real_batch(4 * seed)
    own, others = cosines(base_prompts(system, batch)[0], outcomes_of(system, batch))
    training_step(system, batch, 0, 1)
    own_now, others_now = cosines(base_prompts(system, batch)[0], outcomes_of(system, batch))
    rise, others_rise = (own_now - own).mean(), (others_now - others).mean()
    assert rise > 0.01, "the cosine with its own outcome does not rise"
    # AdamW moves every layer that all prompts share, so the others drift along, but far less.
    assert others_rise < 0.5 * rise, "the cosine with the others' outcomes rises"


def test_prompt_that_has_found_its_outcome_is_still_pushed_away_from_the_others():
    for seed in SEEDS:
        outcomes = outcomes_of(small_system(seed), real_batch(4 * seed)).double()
        directions = centred_outcomes(outcomes, outcomes[:0])[0]
        prompts = directions.clone().requires_grad_()
        loss_module.prompt_term(prompts, outcomes, outcomes[:0]).sum().backward()
        assert prompts.grad is not None
        pushed = prompts.detach() - 0.01 * F.normalize(prompts.grad, dim=-1)
        before, after = ((p @ directions.T / p.norm(dim=-1)[:, None]) for p in (directions, pushed))
        nearest = before.fill_diagonal_(-1.0).argmax(dim=1)
        change = (after - before)[torch.arange(4), nearest]
        assert torch.all(change < -1e-4), "the others' outcomes are no negatives"


def test_steps_outcomes_are_what_later_prompts_are_told_apart_from():
    system, twin = small_system(**PROMPT_TERM_ALONE), small_system(**PROMPT_TERM_ALONE)
    batch = real_batch(0, 1)
    alone, _ = step_and_flow(stand_still(twin), batch)
    step_and_flow(stand_still(system), real_batch(4))
    result, _ = step_and_flow(system, batch)
    assert system.efe_loss.past_seen == 5, "a step's outcomes are forgotten"
    assert result.loss["prompt"] > alone.loss["prompt"], "a lone pair has nothing to be told apart from"


def outcomes_forgotten(patch: Patch) -> None:
    patch.setattr(loss_module.EFELoss, "remember_outcomes", lambda self, target, mask: None)


def no_negatives(patch: Patch) -> None:
    def pull(prompt: Tensor, outcome: Tensor, past: Tensor) -> Tensor:
        directions, _ = centred_outcomes(outcome, past)
        return 1.0 - F.cosine_similarity(prompt, directions[: len(prompt)])

    patch.setattr(loss_module, "prompt_term", pull)


def random_outcome(patch: Patch) -> None:
    term = loss_module.prompt_term
    patch.setattr(
        loss_module,
        "prompt_term",
        lambda prompt, outcome, past, known: term(prompt, torch.randn_like(outcome), past, known=known),
    )


def every_seed(proof: Callable[[int], None]) -> None:
    for seed in SEEDS:
        proof(seed)


# What the proofs are worth


@pytest.mark.parametrize(
    ("take_out", "proof", "complaint"),
    [
        (
            threshold_never_updated,
            test_threshold_starts_at_022_and_follows_every_steps_accuracy,
            "does not follow",
        ),
        (
            nothing_stored,
            test_pairs_at_or_above_the_threshold_are_stored_as_they_were_solved,
            "is not stored",
        ),
        (
            everything_stored,
            test_threshold_starts_at_022_and_follows_every_steps_accuracy,
            "does not follow",
        ),
        (
            nothing_stored,
            test_stored_pairs_are_retrieved_for_other_tasks_and_change_their_prompts,
            "too little is stored",
        ),
        (
            retrieval_of_zeros,
            test_stored_pairs_are_retrieved_for_other_tasks_and_change_their_prompts,
            "does not change the prompt",
        ),
        (retrieval_of_zeros, test_what_is_retrieved_is_trained, "no gradient"),
        (
            anchor_never_moved,
            test_each_stored_pair_moves_the_anchor_towards_its_colours,
            "does not follow what is stored",
        ),
        (
            no_negatives,
            test_prompt_that_has_found_its_outcome_is_still_pushed_away_from_the_others,
            "are no negatives",
        ),
        (
            outcomes_forgotten,
            test_steps_outcomes_are_what_later_prompts_are_told_apart_from,
            "outcomes are forgotten",
        ),
        (
            own_entries_read_in_secret,
            test_entries_of_the_same_task_are_never_retrieved,
            "reads its own task's entry",
        ),
        (own_entries_retrieved, test_entries_of_the_same_task_are_never_retrieved, "its own are counted"),
        (
            random_outcome,
            lambda: every_seed(test_step_on_the_prompt_term_raises_the_cosine_with_the_own_outcome_most),
            "does not rise",
        ),
        (
            random_outcome,
            lambda: every_seed(
                test_training_step_on_the_prompt_term_raises_the_cosine_with_the_own_outcome_most
            ),
            "does not rise",
        ),
    ],
)
def test_proof_fails_when_the_fix_is_taken_out(
    take_out: Callable[[Patch], None], proof: Callable[[], None], complaint: str, monkeypatch: Patch
):
    take_out(monkeypatch)
    with pytest.raises(AssertionError, match=complaint):
        proof()
