"""Puts predictions together that were made under different views, and chooses two answers. NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from arc_core.data.grids import NUM_COLORS, Grid

FLOOR = 1e-6
"""Least probability that a logarithm is taken of."""

LEAST_TRUST = 0.1
"""What the votes of a start weigh that has no demonstration right, beside 1 for one that has all."""


@dataclass(frozen=True, eq=False)
class Ballot:
    """One prediction, mapped back to the task's own orientation and colours."""

    shares: np.ndarray
    """float32 [h, w, 10], probability of each colour in each cell."""
    weight: float = 1.0
    """Of its vote, above 0."""

    @property
    def grid(self) -> Grid:
        """The likeliest colours, int8 [h, w]."""
        return self.shares.argmax(axis=-1).astype(np.int8)

    @property
    def certainty(self) -> float:
        """Mean log-probability of the chosen colours, at most 0."""
        return float(np.log(np.maximum(self.shares.max(axis=-1), FLOOR)).mean())


@dataclass(eq=False)
class Candidate:
    """A grid that was voted for."""

    grid: Grid
    votes: float = 0.0
    """Sum of the weights of its ballots."""
    certainty: float = field(default=-np.inf)
    """Of its most certain ballot."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Two answers."""

    attempts: tuple[Grid, Grid]
    """int8 grids, different from each other."""
    confidence: tuple[float, float]
    """Share of the votes that each has, 0..1; 0 for an answer that nobody voted for."""


def tally(ballots: Sequence[Ballot]) -> list[Candidate]:
    """Count votes.

    Args:
        ballots: At least one.

    Returns:
        The different grids; most votes first, then the most certain, then by content, so that the order of
        the ballots does not matter.
    """
    found: dict[tuple[tuple[int, ...], bytes], Candidate] = {}
    for ballot in ballots:
        grid = ballot.grid
        candidate = found.setdefault((grid.shape, grid.tobytes()), Candidate(grid))
        candidate.votes += ballot.weight
        candidate.certainty = max(candidate.certainty, ballot.certainty)
    ranked = sorted(found.items(), key=lambda item: (-item[1].votes, -item[1].certainty, item[0]))
    return [candidate for _, candidate in ranked]


def choose(ballots: Sequence[Ballot]) -> Choice:
    """Choose two answers: the two with most votes.

    If all agree, the second answer is the first with its least certain cell changed to the colour that comes
    next there: an attempt costs nothing.

    Args:
        ballots: At least one.
    """
    ranked = tally(ballots)
    total = sum(candidate.votes for candidate in ranked)
    first = ranked[0]
    if len(ranked) > 1:
        second = ranked[1]
        return Choice((first.grid, second.grid), (first.votes / total, second.votes / total))
    mean = np.mean([ballot.shares for ballot in ballots], axis=0)
    return Choice((first.grid, _nearest_doubt(first.grid, mean)), (1.0, 0.0))


def choose_among(starts: Sequence[Sequence[Ballot]], fits: Sequence[float]) -> Choice:
    """Choose two answers from the votes of several starts, each of which weighs as much as it fits the task.

    The first is the grid with most votes. The second is the first choice of the start that fits best, and of
    such the most confident one, among those with another first choice; where there is none, it is the next by
    votes.

    Args:
        starts: The ballots of each, at least one of one at least.
        fits: Share of the demonstrations that each has right.
    """
    if len(starts) == 1:
        return choose(starts[0])
    totals = [sum(ballot.weight for ballot in ballots) for ballots in starts]
    weights = [max(fit, LEAST_TRUST) for fit in fits]
    joint = [
        replace(ballot, weight=ballot.weight * weight / total)
        for ballots, total, weight in zip(starts, totals, weights, strict=True)
        for ballot in ballots
    ]
    choice = choose(joint)
    favourites = [tally(ballots)[0] for ballots in starts]
    others = [
        (weight, favourite.votes / total, favourite.certainty, favourite.grid)
        for favourite, total, weight in zip(favourites, totals, weights, strict=True)
        if not np.array_equal(favourite.grid, choice.attempts[0])
    ]
    if not others:
        return choice
    *_, second = max(others, key=lambda other: other[:3])
    votes = sum(ballot.weight for ballot in joint if np.array_equal(ballot.grid, second))
    return Choice((choice.attempts[0], second), (choice.confidence[0], votes / sum(weights)))


def _nearest_doubt(grid: Grid, shares: np.ndarray) -> Grid:
    """The grid with one cell changed: where another colour is likeliest beside the one it has."""
    own = np.arange(NUM_COLORS) == grid[..., None]
    others = np.where(own, -1.0, shares)
    lead = shares.max(axis=-1) - others.max(axis=-1)
    row, column = np.unravel_index(lead.argmin(), lead.shape)
    changed = grid.copy()
    changed[row, column] = others[row, column].argmax()
    return changed
