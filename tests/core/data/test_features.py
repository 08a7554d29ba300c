import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from arc_core.data.dataset import ARCDataset, Example, augment_example
from arc_core.data.features import FEATURE_NAMES, SUMMARY_DIM, describe
from arc_core.data.grids import DIHEDRAL_NAMES, dihedral, from_rows
from arc_core.data.rules import is_subgrid
from arc_core.data.tasks import Pair, TaskSet, load_tasks

grids = hnp.arrays(np.int8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(0, 9))
contexts = st.lists(st.builds(Pair, grids, grids), max_size=4).map(tuple)
background_permutations = st.permutations(range(1, 10)).map(lambda colors: np.array([0, *colors]))

QUERY = from_rows(["0120", "3450"])
LEFT = from_rows(["0120", "3450", "0067"])
RIGHT = from_rows(["9810", "0234"])


def numbers_of(context, query):
    return describe(context, query).features


def by_name(context, query=QUERY):
    return dict(zip(FEATURE_NAMES, numbers_of(context, query).tolist(), strict=True))


def rule_sentence(context, query):
    return describe(context, query).rule


def rule_of(transform, inputs=(LEFT, RIGHT)):
    return rule_sentence([Pair(grid, transform(grid)) for grid in inputs], QUERY)


@given(contexts, grids)
def test_features_are_finite_and_of_the_stated_form(context, query):
    features, summary = numbers_of(context, query), describe(context, query).summary
    assert features.shape == (15,) == (len(FEATURE_NAMES),)
    assert summary.shape == (32,) == (SUMMARY_DIM,)
    assert features.dtype == summary.dtype == np.float32
    assert np.isfinite(summary).all()
    assert np.abs(summary).max() <= 3.5


@given(contexts, grids)
def test_rule_sentences_are_short_lines_of_ascii(context, query):
    rule = rule_sentence(context, query)
    assert rule.isascii()
    assert rule.isprintable()
    assert len(rule) < 160
    assert rule.endswith(f"query {query.shape[0]}x{query.shape[1]}")


@given(contexts, grids, background_permutations)
def test_features_do_not_depend_on_which_colors_stand_for_things(context, query, permutation):
    example = augment_example(Example("a", 0, "train", context, query, None), 0, permutation)
    np.testing.assert_allclose(
        numbers_of(example.context, example.input), numbers_of(context, query), atol=1e-6
    )


@given(contexts, grids, st.integers(0, 7))
def test_symmetries_change_no_feature_but_swap_height_and_width(context, query, k):
    example = augment_example(Example("a", 0, "train", context, query, None), k, np.arange(10))
    expected = numbers_of(context, query)
    if k % 2:
        expected[[1, 2, 13, 14]] = expected[[2, 1, 14, 13]]
    np.testing.assert_allclose(numbers_of(example.context, example.input), expected, atol=1e-6)


@given(contexts, grids)
def test_the_order_of_demonstrations_does_not_matter(context, query):
    one, other = describe(context, query), describe(context[::-1], query)
    np.testing.assert_allclose(one.summary, other.summary, atol=1e-6)
    assert one.rule == other.rule


def test_without_demonstrations_only_the_query_is_described():
    features = by_name(())
    assert features["query_height"] == pytest.approx(2 / 30)
    assert features["query_width"] == pytest.approx(4 / 30)
    assert not any(value for name, value in features.items() if not name.startswith("query"))
    assert rule_sentence((), QUERY) == "no demonstrations; query 2x4"


def test_each_feature_counts_what_its_name_says():
    same = Pair(from_rows(["11", "20"]), from_rows(["11", "30"]))  # 2 becomes 3: one of four cells
    part = Pair(from_rows(["120", "450"]), from_rows(["12"]))  # the upper left corner
    features = by_name([same, part])
    expected = {
        "same_size_share": 0.5,
        "log_height_ratio": np.log(0.5) / 2,
        "log_width_ratio": np.log(2 / 3) / 2,
        "constant_output_size": 0,
        "input_colors": (3 + 5) / 20,
        "output_colors": (3 + 2) / 20,
        "colors_added": 1 / 20,
        "colors_removed": (1 + 3) / 20,
        "changed_share": 1 / 4,
        "output_background_share": (1 / 4 + 0) / 2,
        "output_edge_density": (3 / 4 + 1) / 2,
        "output_symmetry_share": 0.5,  # one row is its own top-bottom mirror image
        "subgrid_share": 0.5,
        "query_height": 2 / 30,
        "query_width": 4 / 30,
    }
    assert features == pytest.approx(expected, abs=1e-6)
    assert by_name([part, part])["constant_output_size"] == 1


def test_the_summary_ends_with_the_querys_colors_and_structure():
    query = from_rows(["0110", "2000"])
    summary = describe((), query).summary
    shares = [5 / 8, 2 / 8, 1 / 8, 0, 0, 0, 0, 0, 0, 0]
    structure = [8 / 900, np.log(2), 5 / 8, 6 / 10, 6 / 8, 2 / 8, 3 / 10]
    np.testing.assert_allclose(summary[15:], shares + structure, atol=1e-6)


@given(grids, st.integers(0, 29), st.integers(0, 29), st.integers(1, 30), st.integers(1, 30))
def test_every_cut_out_rectangle_is_found(grid, top, left, height, width):
    top, left = top % grid.shape[0], left % grid.shape[1]
    assert is_subgrid(grid[top : top + height, left : left + width], grid)


@settings(max_examples=200)
@given(
    hnp.arrays(np.int8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=3), elements=st.integers(0, 1)),
    hnp.arrays(np.int8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 1)),
)
def test_is_subgrid_matches_a_search_of_every_place(part, whole):
    (h, w), (height, width) = part.shape, whole.shape
    expected = any(
        np.array_equal(whole[top : top + h, left : left + w], part)
        for top in range(height - h + 1)
        for left in range(width - w + 1)
    )
    assert is_subgrid(part, whole) == expected


@pytest.mark.parametrize("k", range(1, 8))
def test_each_symmetry_is_named(k):
    assert rule_of(lambda grid: dihedral(grid, k)).startswith(f"{DIHEDRAL_NAMES[k]}; ")


RECOLORING = np.array([0, 1, 1, 3, 4, 5, 6, 7, 8, 9], dtype=np.int8)


def crop(grid):
    return grid[:2, 1:3]


@pytest.mark.parametrize(
    ("transform", "sentence"),
    [
        (lambda grid: grid, "copy the input; output same size; query 2x4"),
        (lambda grid: RECOLORING[grid], "recolour 2 to 1; output same size; query 2x4"),
        (
            lambda grid: RECOLORING[grid[:, ::-1]],
            "mirror left-right, recolour 2 to 1; output same size; query 2x4",
        ),
        (
            lambda grid: grid.repeat(2, 0).repeat(3, 1),
            "upscale 2x3; output 2x3 times the input; query 2x4",
        ),
        (
            lambda grid: RECOLORING[np.tile(grid, (1, 2))],
            "tile 1x2, recolour 2 to 1; output 1x2 times the input; query 2x4",
        ),
        (crop, "crop a part of the input; output always 2x2; query 2x4"),
        (lambda grid: grid[:1, 1:2], "pick one colour of the input; output always 1x1; query 2x4"),
        (lambda grid: (grid + 1) % 10, "recolour 10 colours; output same size; query 2x4"),
    ],
)
def test_simple_rules_are_named(transform, sentence):
    assert rule_of(transform) == sentence


def test_shrinking_and_cropping_to_the_background_are_named_with_their_recoloring():
    def grow(grid):
        return grid.repeat(2, 0).repeat(2, 1)

    shrunk = [Pair(grow(grid), RECOLORING[grid]) for grid in (LEFT, RIGHT)]
    assert rule_sentence(shrunk, QUERY).startswith(
        "shrink 2x2, recolour 2 to 1; output 0.5x0.5 times the input"
    )
    framed = [Pair(np.pad(grid + 1, 2), RECOLORING[grid + 1]) for grid in (LEFT, RIGHT - (RIGHT == 9))]
    assert rule_sentence(framed, QUERY).startswith(
        "crop to what is not background, recolour 2 to 1; output smaller"
    )


def test_a_renaming_that_differs_between_demonstrations_is_no_renaming():
    context = [Pair(from_rows(["12"]), from_rows(["32"])), Pair(from_rows(["12"]), from_rows(["42"]))]
    assert rule_sentence(context, QUERY) == (
        "adds colours, removes colour 1, changes 50% of the cells; output same size; query 2x4"
    )


def test_other_rules_are_described_by_what_changes():
    context = [
        Pair(from_rows(["1000", "0000"]), from_rows(["1404", "0000"])),
        Pair(from_rows(["0200"]), from_rows(["0204"])),
    ]
    assert rule_sentence(context, QUERY) == (
        "adds colour 4, changes 25% of the cells, only background changes; output same size; query 2x4"
    )
    kept = [Pair(from_rows(["1100"]), from_rows(["1200"])), Pair(from_rows(["0110"]), from_rows(["0120"]))]
    assert "adds colour 2, changes 25% of the cells, background kept" in rule_sentence(kept, QUERY)


def test_a_single_demonstration_does_not_make_a_size_constant():
    assert rule_sentence([Pair(LEFT, LEFT[:1])], QUERY).endswith("output 1x4 from 3x4; query 2x4")


@settings(max_examples=30)
@given(st.integers(0, 7), background_permutations)
def test_an_identity_task_is_an_identity_under_every_augmentation(k, permutation):
    context = (Pair(LEFT, LEFT), Pair(RIGHT, RIGHT))
    example = augment_example(Example("a", 0, "test", context, QUERY, None), k, permutation)
    assert rule_sentence(example.context, example.input).startswith("copy the input; output same size")


def test_a_description_cannot_be_given_the_querys_output():
    assert list(inspect.signature(describe).parameters) == ["context", "query_input"]


def test_replacing_test_outputs_changes_no_description():
    tasks = load_tasks("arcagi1").tasks[:50]
    known = ARCDataset(tasks=TaskSet(tasks), part="test")
    hidden = ARCDataset(tasks=TaskSet(tuple(task.without_test_outputs() for task in tasks)), part="test")
    for one, other in zip(known, hidden, strict=True):
        before, after = describe(one.context, one.input), describe(other.context, other.input)
        np.testing.assert_array_equal(before.summary, after.summary)
        assert before.rule == after.rule


def test_a_demonstration_without_output_is_refused():
    with pytest.raises(ValueError, match="no output"):
        describe([Pair(QUERY, None)], QUERY)


def test_descriptions_of_real_tasks_are_finite_and_short():
    for example in ARCDataset("arcagi1"):
        description = describe(example.context, example.input)
        assert np.isfinite(description.summary).all()
        assert len(description.rule) < 160
