"""Votes of views, and the two answers chosen from them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arc_core.solver.voting import Ballot, choose, choose_among, tally


def ballot(rows, certainty=0.9, weight=1.0):
    grid = np.array(rows)
    shares = np.full((*grid.shape, 10), (1 - certainty) / 9, np.float32)
    np.put_along_axis(shares, grid[..., None], certainty, axis=-1)
    return Ballot(shares, weight)


def test_the_two_grids_with_most_votes_are_the_answers():
    ballots = [ballot([[1]]), ballot([[2]]), ballot([[2]]), ballot([[3]], 0.5), ballot([[1, 1]], weight=0.1)]
    choice = choose(ballots)
    assert [grid.tolist() for grid in choice.attempts] == [[[2]], [[1]]]
    np.testing.assert_allclose(choice.confidence, (2 / 4.1, 1 / 4.1))


def test_equal_votes_are_decided_by_certainty():
    assert choose([ballot([[1]], 0.6), ballot([[2]], 0.8)]).attempts[0].tolist() == [[2]]


def test_where_all_agree_the_second_answer_changes_the_least_certain_cell():
    sure, unsure = ballot([[1, 2, 3]]).shares, ballot([[1, 2, 3]]).shares.copy()
    unsure[0, 1] = 0
    unsure[0, 1, [2, 7]] = 0.55, 0.45
    choice = choose([Ballot(sure), Ballot(unsure)])
    assert [grid.tolist() for grid in choice.attempts] == [[[1, 2, 3]], [[1, 7, 3]]]
    assert choice.confidence == (1.0, 0.0)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0.3, 0.6, 0.9])), min_size=1),
    st.randoms(),
)
def test_the_order_of_the_ballots_does_not_matter_and_answers_differ(drawn, random):
    ballots = [ballot([[a, b]], certainty) for a, b, certainty in drawn]
    choice = choose(ballots)
    random.shuffle(ballots)
    again = choose(ballots)
    assert [g.tolist() for g in choice.attempts] == [g.tolist() for g in again.attempts]
    assert choice.attempts[0].tolist() != choice.attempts[1].tolist()
    assert sum(candidate.votes for candidate in tally(ballots)) == len(ballots)


def test_starts_that_fit_alike_weigh_alike_and_the_second_answer_is_its_who_disagrees_best():
    many = [ballot([[1]])] * 6 + [ballot([[2]])] * 2  # 3/4 for 1
    few = [ballot([[1]])] * 2 + [ballot([[2]])]  # 2/3 for 1
    half_sure = [ballot([[3]])] * 3 + [ballot([[2]])] * 2  # 3/5 for 3
    sure = [ballot([[4]], weight=0.1)]
    choice = choose_among([many, few, half_sure], [1, 1, 1])
    assert [grid.tolist() for grid in choice.attempts] == [[[1]], [[3]]]
    np.testing.assert_allclose(choice.confidence, ((3 / 4 + 2 / 3) / 3, 3 / 5 / 3))
    assert choose_among([many, few, half_sure, sure], [1, 1, 1, 1]).attempts[1].tolist() == [[4]]


def test_where_all_starts_agree_the_second_answer_has_the_second_most_votes():
    first = [ballot([[1]])] * 3 + [ballot([[2]])] * 2
    second = [ballot([[1]])] * 3 + [ballot([[3]])]
    assert [g.tolist() for g in choose_among([first, second], [1, 1]).attempts] == [[[1]], [[2]]]
    alone = [ballot([[1]])] * 2
    assert choose_among([alone, alone], [1, 1]).confidence == (1.0, 0.0)


def test_a_start_that_does_not_fit_the_demonstrations_has_little_to_say():
    fitting = [ballot([[1]])] * 2 + [ballot([[2]])]
    unfit = [ballot([[3]])] * 3
    choice = choose_among([unfit, fitting, unfit], [0, 1, 0.25])
    assert [grid.tolist() for grid in choice.attempts] == [[[1]], [[3]]]
    np.testing.assert_allclose(choice.confidence, (2 / 3 / 1.35, 0.35 / 1.35))
    half_fit = [ballot([[4]])] * 2 + [ballot([[5]])]  # fits better, though less confident than the unfit
    assert choose_among([unfit, fitting, half_fit], [0, 1, 0.5]).attempts[1].tolist() == [[4]]


votes_of_a_start = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0.3, 0.6, 0.9]), st.sampled_from([0.25, 1.0])), min_size=1
)


@given(st.lists(st.tuples(votes_of_a_start, st.sampled_from([0.1, 0.5, 1.0])), min_size=1, max_size=4))
def test_the_answers_of_several_starts_differ_and_each_start_weighs_what_it_fits(given_starts):
    drawn, fits = zip(*given_starts, strict=True)
    starts = [[ballot([[color]], sure, weight) for color, sure, weight in votes] for votes in drawn]
    choice = choose_among(starts, fits)
    first, second = (int(grid[0, 0]) for grid in choice.attempts)
    assert first != second
    shares = [
        {color: sum(w for c, _, w in votes if c == color) / sum(w for *_, w in votes) for color in range(10)}
        for votes in drawn
    ]
    joint = {
        color: sum(fit * share[color] for fit, share in zip(fits, shares, strict=True)) / sum(fits)
        for color in range(10)
    }
    assert joint[first] >= max(joint.values()) - 1e-9
    np.testing.assert_allclose(choice.confidence, (joint[first], joint[second]), atol=1e-9)
    leads = [
        (fit, max(share.values()))
        for fit, share in zip(fits, shares, strict=True)
        if share[first] < max(share.values()) - 1e-9
    ]
    if len(starts) > 1 and leads:
        fitting, lead = max(leads)
        assert any(
            share[second] >= max(share.values()) - 1e-9
            and (fit > fitting or (fit == fitting and share[second] >= lead - 1e-9))
            for fit, share in zip(fits, shares, strict=True)
        )
