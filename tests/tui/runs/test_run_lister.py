"""A folder of runs that is listed again and again: what has not changed is not read again."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from piloting import console, text_of, until
from recordings import make_run
from unprivileged import unprivileged

from arc_core.pipeline.config import PipelineConfig
from arc_core.run.directory import RunDirectory, RunLock, create_run
from arc_core.run.events import EventWriter, next_seq
from arc_tui import cli
from arc_tui.commands.runs import table
from arc_tui.console.runs import RunsScreen
from arc_tui.results import evaluations
from arc_tui.runs import listing
from arc_tui.runs.listing import RunLister, list_rows

RECORDED = Path(__file__).parents[2] / "recorded" / "short_run.jsonl"
NOW = 5000.0


def _run(folder: Path, name: str, created: float = 1000.0) -> RunDirectory:
    run = create_run(folder, name, {"config": PipelineConfig(name=name).to_dict(), "created": created})
    shutil.copyfile(RECORDED, run.events)
    return run


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs whose log is read, and of the folders whose files are counted."""
    done: list[str] = []
    real_read, real_count = listing.read_run, listing.disk_usage
    monkeypatch.setattr(
        listing, "read_run", lambda run, *a, **k: done.append(run.name) or real_read(run, *a, **k)
    )
    monkeypatch.setattr(
        listing, "disk_usage", lambda folder: done.append(f"size of {folder.name}") or real_count(folder)
    )
    return done


def _note(run: RunDirectory) -> None:
    run.update(notes=[{"time": 1.0, "text": "a"}])


def _log(run: RunDirectory) -> None:
    with EventWriter(run.events, next_seq(run.events)) as events:
        events.emit("run_finished", reason="completed")


def _save(run: RunDirectory) -> None:
    (run.checkpoints / "checkpoint_00000").mkdir()


def _damage(run: RunDirectory) -> None:
    run.run_json.write_text("{")


def _lock(run: RunDirectory) -> None:
    RunLock(run).acquire()


@pytest.mark.parametrize("change", [_note, _log, _save, _damage, _lock])
def test_only_a_run_that_has_changed_is_read_again(
    change: Callable[[RunDirectory], None], tmp_path: Path, read: list[str]
):
    changed, _ = _run(tmp_path, "changed"), _run(tmp_path, "same")
    (tmp_path / "no run").mkdir()
    lister = RunLister(tmp_path)
    first = lister.rows(NOW)
    assert sorted(read) == ["changed", "same", "size of changed", "size of same"]
    read.clear()
    assert all(again is row for again, row in zip(lister.rows(NOW + 0.5), first, strict=True))
    assert read == []
    change(changed)
    again = lister.rows(NOW + 1)
    assert not any("same" in name for name in read)
    assert table(again) == table(list_rows(tmp_path, NOW + 1))


def test_age_and_a_killed_process_show_though_no_file_changes(tmp_path: Path):
    run = _run(tmp_path, "mine", created=NOW - 100)
    lister = RunLister(tmp_path)
    lock = RunLock(run)
    lock.acquire()
    assert lister.rows(NOW)[0].state not in ("stopped", "crashed")
    os.close(lock._fd)  # as when its holder is killed: the file is left as it was
    (row,) = lister.rows(NOW + 60)
    assert row.state == list_rows(tmp_path, NOW + 60)[0].state == "stopped"
    assert row.age_seconds == 160.0
    assert lister.rows(NOW + 61)[0].age_seconds == 160.0  # shown as 2 min, as before
    assert lister.rows(NOW + 120)[0].age_seconds == 220.0


def test_runs_that_are_deleted_or_made_show(tmp_path: Path):
    lister = RunLister(tmp_path)
    assert lister.rows() == []
    run = _run(tmp_path, "mine")
    assert [row.name for row in lister.rows()] == ["mine"]
    run.remove()
    assert lister.rows() == []


def test_files_of_what_is_no_run_are_not_counted(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "large" / "inner").mkdir(parents=True)
    (tmp_path / "large" / "inner" / "file").write_bytes(bytes(1000))
    with pytest.raises(SystemExit):
        cli.main(["runs", "--json", "--runs-dir", str(tmp_path)])
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["state"], row["bytes"]) == ("large", "no run", None)
    assert read == []


async def test_screen_draws_the_rows_that_are_seen_alone_and_none_again_where_nothing_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shown = make_run(tmp_path, name="run_00")
    runs = [shown, *(make_run(tmp_path, name=f"run_{number:02}") for number in range(1, 60))]
    drawn: list[int] = []
    real = RunsScreen._row
    monkeypatch.setattr(
        RunsScreen, "_row", lambda self, index, cells: drawn.append(index) or real(self, index, cells)
    )
    monkeypatch.setattr(listing.time, "time", lambda: 2e9)  # or ages would change meanwhile
    async with console(shown) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and "run_05" in text_of(app))
        assert 0 < len(set(drawn)) < len(runs)
        await until(pilot, lambda: app.screen.described is not None)  # type: ignore[attr-defined]
        drawn.clear()
        app.screen.reload()  # type: ignore[attr-defined]
        await pilot.pause(0.5)
        assert drawn == []
        _damage(shown)
        app.screen.reload()  # type: ignore[attr-defined]
        await until(pilot, lambda: "damaged" in text_of(app))
        assert 0 < len(set(drawn)) < len(runs)


async def test_screen_lists_a_closed_run_and_says_that_it_is_closed(tmp_path: Path):
    shown = make_run(tmp_path, name="shown")
    closed = make_run(tmp_path, name="closed")
    closed.path.chmod(0)
    try:
        with unprivileged():
            async with console(shown) as (app, pilot):
                await pilot.press("r")
                await until(pilot, lambda: "closed: Permission denied" in text_of(app))
    finally:
        closed.path.chmod(0o700)


def test_evaluations_that_have_not_changed_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "one" / "answers").mkdir(parents=True)
    (tmp_path / "one" / "eval.json").write_text("{}")
    read: list[Path] = []
    real = evaluations.EvalFolder.assignment
    monkeypatch.setattr(
        evaluations.EvalFolder, "assignment", lambda folder: read.append(folder.path) or real(folder)
    )
    first = evaluations.list_evals(tmp_path)
    assert evaluations.list_evals(tmp_path) == first
    assert len(read) == 1
    (tmp_path / "one" / "answers" / "a.json").touch()
    evaluations.list_evals(tmp_path)
    assert len(read) == 2
