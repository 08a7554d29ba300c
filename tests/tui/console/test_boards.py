"""The boards of runs that are not the pipeline's: what they show, and what they never show."""

from pathlib import Path

import pytest
from foreign_run import FOREIGN, foreign_events, foreign_run_json, make_foreign_run
from hostile import obeyed
from live_run import living
from odd_runs import CROWDED, SERIES_ONLY, make_crowded_run, make_series_run
from piloting import console, text_of, until
from recordings import make_run
from solver_run import solver_events, solver_run_json

from arc_core.run.declared import Declared, GroupKind, NumberGroup
from arc_core.run.declared_json import DECLARED, declared_to_json
from arc_core.run.directory import RunDirectory
from arc_tui.console.app import ConsoleApp
from arc_tui.console.panels.board import (
    EVIDENCE,
    GRIDS,
    LOG,
    MACHINE,
    NORMS,
    PARTS,
    PLANS,
    SIGNED,
    board_of,
    joined,
)
from arc_tui.console.panels.chart_panel import PartsPanel
from arc_tui.console.panels.layout import Panels

SIZES = [(80, 24), (120, 40), (200, 60)]


def shows(app: ConsoleApp, text: str) -> bool:
    return text in text_of(app)


def frames(app: ConsoleApp) -> list[int]:
    """Digits of the panels whose frames are drawn."""
    text = text_of(app)
    return [digit for digit in range(1, 9) if f"╭{digit} " in text]


def solver_run(folder: Path, *, old: bool) -> RunDirectory:
    run = make_run(folder, solver_events(old=old), "solver")
    run.write(solver_run_json())
    return run


def test_foreign_board_has_what_its_recipe_declares():
    board = board_of(FOREIGN, evidence=3)
    assert board.titles == {
        PARTS: "Loss",
        SIGNED: "Accuracy and recursion",
        GRIDS: "Grids",
        EVIDENCE: "Evidence",
        NORMS: "Gradients",
        MACHINE: "Machine",
        LOG: "Log",
    }


def test_evidence_has_a_panel_once_a_run_has_told_of_it():
    assert EVIDENCE not in board_of(FOREIGN).titles
    assert EVIDENCE in board_of(FOREIGN, evidence=1).titles


def test_numbers_over_time_stand_where_there_are_no_parts():
    board = board_of(SERIES_ONLY)
    assert {digit: [g.name for g in groups] for digit, groups in board.groups.items()} == {
        PARTS: ["train"],
        SIGNED: ["eval", "throughput"],
        PLANS: ["rate"],
    }


def test_numbers_over_time_beside_parts_and_signed_ones_find_a_place():
    groups = [NumberGroup.of(kind.value, kind, "a") for kind in GroupKind]
    drawn = board_of(Declared(tuple(groups))).groups
    assert [g.name for g in drawn[PLANS]] == ["schedule", "counters", "series"]
    assert sorted(g.name for shown in drawn.values() for g in shown) == sorted(GroupKind)


def test_run_that_declares_nothing_yet_has_an_empty_first_panel():
    assert board_of(Declared()).digits == (PARTS, MACHINE, LOG)


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (["Loss"], "Loss"),
        (["Curriculum", "Memory"], "Curriculum and memory"),
        (["Halting", "EMA"], "Halting and EMA"),
        (["A one", "B", "C two"], "A one, B and C two"),
        (["A one", "B", "C", "D"], "A one and 3 more"),
    ],
)
def test_title_joins_what_a_panel_draws(names: list[str], title: str):
    assert joined(names) == title


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("size", SIZES)
async def test_solver_shows_nothing_that_is_not_its_own(tmp_path: Path, size: tuple[int, int], old: bool):
    async with console(solver_run(tmp_path, old=old), size) as (app, pilot):
        await until(pilot, lambda: shows(app, "1 Loss"))
        seen = ""
        for digit in app.main.query_one(Panels).board.digits[:-1]:
            await pilot.press(str(digit))
            await until(pilot, lambda digit=digit: digit in frames(app))
            seen += text_of(app)
        for foreign in ("Reward", "Curriculum", "Fixes", "not part", "EFE", "risk", "memory  0.", "tiny"):
            assert foreign not in seen
        assert "= total" in seen
        assert "≠ total" not in seen


async def test_digit_of_a_panel_that_a_run_lacks_says_so(tmp_path: Path):
    async with console(solver_run(tmp_path, old=False)) as (app, pilot):
        await until(pilot, lambda: PARTS in frames(app))
        before = frames(app)
        await pilot.press("5")
        await until(pilot, lambda: shows(app, "This run has no panel 5 (Fixes)"))
        assert frames(app) == before


@pytest.mark.parametrize("size", SIZES)
async def test_foreign_run_shows_its_groups_grids_and_evidence(tmp_path: Path, size: tuple[int, int]):
    async with console(make_foreign_run(tmp_path), size) as (app, pilot):
        await until(pilot, lambda: shows(app, "TRM, 2 layers  EMA 0.999  cpu"))
        await until(pilot, lambda: shows(app, "cross-entropy"))
        seen = text_of(app)
        for digit in (GRIDS, EVIDENCE, NORMS, SIGNED):
            await pilot.press(str(digit))
            await until(pilot, lambda digit=digit: digit in frames(app))
            await until(pilot, lambda: not shows(app, "waits for"))
            seen += text_of(app)
        for text in ("cross-entropy", "halt ", "= total", "cells right", "steps until", "guess 3x4"):
            assert text in seen
        for text in ("● halting", "○ EMA", "puzzle embed", "score 0.300"):
            assert text in seen


async def test_narrow_foreign_run_has_a_strip_of_its_evidence(tmp_path: Path):
    async with console(make_foreign_run(tmp_path), (80, 24)) as (app, pilot):
        await until(pilot, lambda: shows(app, " evidence  1●halting  2○EMA  3●embedding"))


async def test_log_scale_is_that_of_the_first_panel_whatever_it_draws(tmp_path: Path):
    async with console(make_series_run(tmp_path)) as (app, pilot):
        await until(pilot, lambda: shows(app, " linear "))
        await pilot.press("y")
        await until(pilot, lambda: shows(app, " log ") and not shows(app, " linear "))
        assert app.main.query_one(PartsPanel).log_scale


async def test_tab_goes_round_the_panels_of_the_board(tmp_path: Path):
    async with console(make_series_run(tmp_path), (80, 24)) as (app, pilot):
        await until(pilot, lambda: frames(app) == [PARTS])
        seen = []
        for _ in range(5):
            await pilot.press("tab")
            await pilot.pause()
            seen.append(app.main.query_one(Panels).current)
        assert seen == [SIGNED, PLANS, MACHINE, LOG, PARTS]


async def test_board_follows_a_declaration_that_grows(tmp_path: Path):
    events = [event for event in foreign_events(20) if event["type"] in ("run_started", "step")]
    with living(tmp_path, events) as live:
        small = Declared(FOREIGN.groups[:1])
        live.run.write(foreign_run_json(small))
        async with console(live.run) as (app, pilot):
            await until(pilot, lambda: frames(app) == [PARTS, MACHINE, LOG])
            live.run.write(live.run.read() | {DECLARED: declared_to_json(FOREIGN)})
            live.emit("declared", step=20)
            await until(pilot, lambda: frames(app) == [PARTS, SIGNED, GRIDS, NORMS, MACHINE, LOG])


async def test_damaged_declaration_leaves_machine_log_and_an_empty_panel(tmp_path: Path):
    run = make_foreign_run(tmp_path)
    told = declared_to_json(FOREIGN)
    told["groups"][0]["title"] = "\x1b[31mLoss"
    run.write(run.read() | {DECLARED: told})
    async with console(run) as (app, pilot):
        await until(pilot, lambda: frames(app) == [PARTS, EVIDENCE, MACHINE, LOG])
        assert obeyed(text_of(app)) == set()


@pytest.mark.parametrize("size", [*SIZES, (40, 12), (250, 80)])
async def test_crowded_board_keeps_to_its_frames_and_obeys_nothing(tmp_path: Path, size: tuple[int, int]):
    assert len(CROWDED.groups) == 60
    async with console(make_crowded_run(tmp_path), size) as (app, pilot):
        await until(pilot, lambda: shows(app, "╭1 "))
        for digit in range(1, 9):
            await pilot.press(str(digit), "+")
            await until(pilot, lambda digit=digit: frames(app) == [digit])
            await pilot.press("+")
            await pilot.pause()
            text = text_of(app)
            assert obeyed(text) == set()
            assert all(line.count("╭") == line.count("╮") for line in text.splitlines())
