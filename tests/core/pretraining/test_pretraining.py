"""Pretraining data: what may be trained on, how it is grouped, and what is read from generated pairs."""

import json
import zipfile

import numpy as np
import pytest

from arc_core.base.errors import ConfigError, DataError
from arc_core.data.generated import load_extra
from arc_core.data.grids import dihedral, permute_colors
from arc_core.data.seen import SeenTasks, held_out
from arc_core.data.tasks import Pair, load_tasks
from arc_core.pretraining.pairs import (
    FRESH,
    GROUP,
    GROUPS_PER_EPOCH,
    make_pool,
    plan_batches,
    plan_groups,
    plan_single_pairs,
    without_evaluated,
    without_kept_away,
)
from arc_core.pretraining.recipe import solver_config
from arc_core.run.resolving import resolve


@pytest.fixture(scope="module")
def allowed():
    return without_kept_away(load_tasks("arcagi1").tasks)


@pytest.fixture(scope="module")
def pool(allowed):
    rng = np.random.default_rng(0)

    def pair():
        sides = rng.integers(1, 30, 2)
        return Pair(*(rng.integers(0, 10, sides).astype(np.int8) for _ in range(2)))

    return make_pool(allowed[:12], {allowed[0].id: [pair() for _ in range(40)]})


def test_the_pretraining_set_shares_no_task_with_any_evaluated_list(allowed):
    seen = SeenTasks.of(allowed)
    for dataset in ("arcagi1", "arcagi2"):
        assert seen.overlap(load_tasks(dataset, "evaluation").tasks) == []
    assert seen.overlap(held_out(load_tasks("arcagi1").tasks)) == []
    missing = {task.id for task in load_tasks("arcagi1").tasks} - {task.id for task in allowed}
    assert {"40853293", "caa06a1f"} <= missing | {t.id for t in held_out(load_tasks("arcagi1").tasks)}
    assert len(allowed) == 400 - len(missing) >= 290


def test_a_task_of_arc_agi_2_that_arc_agi_1_evaluates_is_left_out():
    evaluated = {task.id for task in load_tasks("arcagi1", "evaluation").tasks}
    assert not evaluated & {task.id for task in without_kept_away(load_tasks("arcagi2").tasks)}


def test_generated_pairs_that_are_an_evaluated_tasks_are_left_out_in_any_disguise(allowed):
    names = np.array([0, 3, 1, 2, 9, 8, 7, 6, 5, 4])
    own = allowed[0].train[0]
    hidden = []
    for tasks in (
        held_out(load_tasks("arcagi1").tasks),
        *(load_tasks(name, "evaluation").tasks for name in ("arcagi1", "arcagi2")),
    ):
        pair = max(tasks[0].train, key=lambda pair: pair.input.size)
        hidden += [Pair(*(permute_colors(dihedral(g, k), names) for g in (pair.input, pair.output)))
                   for k in range(8)]  # fmt: skip
        hidden.append(tasks[1].test[0])
    found = without_evaluated({"a": [own, *hidden], "b": [own]})
    assert {name: [id(pair) for pair in pairs] for name, pairs in found.items()} == {
        "a": [id(own)],
        "b": [id(own)],
    }


def test_fresh_pairs_are_never_trained_on(pool):
    first = pool[0]
    assert len(first.fresh) == FRESH
    kept = {id(pair) for pair in first.fresh}
    assert not kept & {id(pair) for pair in first.pairs}
    assert all(task.fresh == () for task in pool[1:])


def test_an_epoch_uses_a_pair_once_and_is_a_function_of_seed_and_epoch(pool):
    groups = plan_groups(pool, seed=1, epoch=2)
    assert groups == plan_groups(pool, seed=1, epoch=2)
    assert groups != plan_groups(pool, seed=1, epoch=3)
    assert groups != plan_groups(pool, seed=2, epoch=2)
    used = [(group.task, place) for group in groups for place in group.pairs]
    assert len(used) == len(set(used))
    assert {len(group.pairs) for group in groups} == {GROUP}
    assert len({group.view for group in groups}) > len(groups) // 2


def test_without_augmentation_every_group_is_shown_as_it_is(pool):
    views = {group.view for group in plan_groups(pool, seed=0, epoch=0, augment=False)}
    assert [(view.symmetry, view.colors) for view in views] == [(0, tuple(range(10)))]


def test_single_pairs_are_each_shown_once_with_their_colours_and_no_task_more_than_its_share(pool):
    groups = plan_single_pairs(pool, seed=1, epoch=2)
    assert groups == plan_single_pairs(pool, seed=1, epoch=2) != plan_single_pairs(pool, seed=1, epoch=3)
    shown = [(group.task, group.pairs[0]) for group in groups]
    assert len(set(shown)) == len(shown)
    for number, task in enumerate(pool):
        count = sum(place == number for place, _ in shown)
        assert count == min(len(task.pairs), GROUP * GROUPS_PER_EPOCH)
    assert {group.view.symmetry for group in groups} == set(range(8))
    assert {group.view.colors for group in groups} == {tuple(range(10))}
    assert {g.view.symmetry for g in plan_single_pairs(pool, seed=1, epoch=2, augment=False)} == {0}


def test_batches_hold_every_group_once_and_are_alike_in_size(pool):
    groups = plan_groups(pool, seed=0, epoch=0)
    batches = plan_batches(groups, pool, 3 * GROUP, seed=0, epoch=0)
    flat = [group for batch in batches for group in batch]
    assert sorted(map(repr, flat)) == sorted(map(repr, groups))
    assert max(map(len, batches)) <= 3

    def spread(batch):
        sides = [max(pool[g.task].pairs[p].input.shape) for g in batch for p in g.pairs]
        return max(sides) - min(sides)

    planned = np.mean([spread(batch) for batch in batches])
    shuffled = [groups[i :: len(batches)] for i in range(len(batches))]
    assert planned < np.mean([spread(batch) for batch in shuffled])


PAIRS = [{"input": [[1, 2]], "output": [[3]]}, {"input": [[4]], "output": [[5, 6]]}]


def make_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return path


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


def test_the_preset_asks_for_the_solvers_agent():
    config = solver_config(resolve({"preset": "solver", "agent_options": "context_dim=8, encoder_blocks=2"}))
    assert (config.width, config.prompt_dim, config.context_dim, config.encoder_blocks) == (64, 128, 8, 2)
    with pytest.raises(ConfigError, match="no setting context_dmi"):
        solver_config(resolve({"preset": "solver", "agent_options": "context_dmi=8"}))
    with pytest.raises(ConfigError, match="takes key=value"):
        solver_config(resolve({"preset": "solver", "agent_options": "tied"}))
    with pytest.raises(ConfigError, match="agent_options: lambda_risk says how the agent adapts to a task"):
        solver_config(resolve({"preset": "solver", "agent_options": "lambda-risk=5"}))


def test_options_that_are_gone_are_passed_over_at_the_value_that_is_left_and_refused_at_any_other():
    plain = solver_config(resolve({"preset": "solver"}))
    gone = "blocks=untied, deep_supervision=true, holdout=0.0"
    assert solver_config(resolve({"preset": "solver", "agent_options": gone})) == plain
    with pytest.raises(ConfigError, match="blocks tied is not there any more: this version has"):
        solver_config(resolve({"preset": "solver", "agent_options": "blocks=tied"}))
