"""Pictures of the browser of results, small, middling and large."""

from pathlib import Path

import pytest
from eval_files import FAILED, SECOND, SIZE, SOLVED, make_eval, make_finished
from test_inspect_snapshots import _same_everywhere as _same_everywhere
from test_inspect_snapshots import pressing

from arc_core.evaluation.folder import find_eval
from arc_tui.results.app import ResultsApp
from arc_tui.results.evaluations import open_results

SIZES = [(80, 24), (120, 40), (200, 60)]
IDS = ["small", "middle", "large"]
EVALS = Path("evals")


def app(*names: str) -> ResultsApp:
    make_eval(EVALS)
    make_finished(EVALS, "second", {SOLVED, FAILED}, seed=7)
    make_finished(EVALS, "third", {SOLVED, SECOND, SIZE})
    return ResultsApp([open_results(find_eval(name, EVALS)) for name in names], EVALS)


@pytest.mark.parametrize("size", SIZES, ids=IDS)
def test_tasks(snap_compare, size: tuple[int, int]):
    assert snap_compare(app("first"), terminal_size=size, run_before=pressing("end"))


@pytest.mark.parametrize("size", SIZES, ids=IDS)
def test_one_task(snap_compare, size: tuple[int, int]):
    assert snap_compare(app("first"), terminal_size=size, run_before=pressing("f", "f", "enter"))


@pytest.mark.parametrize("size", SIZES, ids=IDS)
def test_two_evaluations(snap_compare, size: tuple[int, int]):
    assert snap_compare(app("second", "third"), terminal_size=size, run_before=pressing("f", "f", "down"))


@pytest.mark.parametrize("size", SIZES, ids=IDS)
def test_evaluations(snap_compare, size: tuple[int, int]):
    assert snap_compare(app(), terminal_size=size, run_before=pressing("space", "down"))


@pytest.mark.parametrize("size", SIZES[:2], ids=IDS[:2])
def test_scores(snap_compare, size: tuple[int, int]):
    assert snap_compare(app("first"), terminal_size=size, run_before=pressing("i"))


def test_digits_in_plain_letters(snap_compare):
    shown = app("first")
    plain = ResultsApp([shown._first], EVALS, theme="plain")  # type: ignore[list-item]
    assert snap_compare(plain, terminal_size=SIZES[1], run_before=pressing("end", "g"))
