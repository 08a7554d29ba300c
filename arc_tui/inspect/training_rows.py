"""What a checkpoint knows of training, section by section, as rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from arc_core.base.errors import ArcError
from arc_core.base.text import printable
from arc_tui.drawing.rows import Row, fill
from arc_tui.drawing.text import grids_beside, when
from arc_tui.inspect.browsed import Browsed
from arc_tui.inspect.tensors.moments import Update
from arc_tui.inspect.tensors.training import (
    MemoryEntry,
    TrainingState,
    configuration,
    generators,
    memory_entries,
    preference,
)
from arc_tui.inspect.text import bar
from arc_tui.runs.fields import duration, size

COLOURS = ("black", "blue", "red", "green", "yellow", "grey", "magenta", "orange", "cyan", "maroon")
"""ARC's names of the colours 0 to 9."""

NAME_CELLS = 34
LONGEST_VALUE = 400


@dataclass(frozen=True)
class Section:
    """A part of what is known.

    Attributes:
        name: Its heading.
        rows: Its lines for a width.
        details: What is shown for a line of it; None where lines say everything.
    """

    name: str
    rows: Callable[[int], list[Row]]
    details: Callable[[int], list[Row]] | None = None


def sections(browsed: Browsed) -> list[Section]:
    """Return all sections but the moments, which take time to compute.

    What cannot be read is told in its place.
    """
    state = browsed.training
    assert state is not None
    checkpoint = browsed.checkpoint
    problem = [_refusal(state.problem)] if state.problem else []
    try:
        entries, head = memory_entries(checkpoint), _memory_head(state)
    except ArcError as error:
        entries, head = [], [*_memory_head(state), _refusal(error)]
    progress = [
        *problem,
        *pairs(
            {
                "step": _number(state.step),
                "epoch": _number(state.epoch),
                "batch": _number(state.batch),
                "trained for": "-" if state.elapsed_seconds is None else duration(state.elapsed_seconds),
                "saved": "-" if state.saved_at is None else when(state.saved_at),
                "threads": _number(state.threads),
                "autocast": state.amp_dtype or "-",
                "skipped steps": _number(state.skipped_steps),
                **{f"GradScaler {name}": str(value) for name, value in state.scaler.items()},
            }
        ),
    ]
    if not state.scaler:
        progress += pairs({"GradScaler": "off"})
    metrics = pairs({name: f"{value:.6g}" for name, value in state.metrics.items()})
    other = pairs({name: _json(value) for name, value in state.other.items()})
    return [
        Section("progress", lambda cells: progress),
        Section("metrics", lambda cells: metrics),
        Section("learning rates", lambda cells: _group_rows(state)),
        Section(
            "memory",
            lambda cells: head + [_entry_row(entry, cells) for entry in entries],
            lambda index: _entry_details(entries, index - len(head)),
        ),
        Section("preference", lambda cells: _tried(lambda: _preference_rows(browsed, cells))),
        Section(
            "random generators",
            lambda cells: pairs({g: size(n) for g, n in generators(checkpoint).items()}),
        ),
        Section("configuration", lambda cells: _tried(lambda: _configuration_rows(browsed))),
        *([Section("also in its state", lambda cells: other)] if other else []),
    ]


def pairs(values: Mapping[str, str]) -> list[Row]:
    """Write names and values."""
    return [
        [
            *fill([(f" {printable(name, NAME_CELLS)}", "muted")], NAME_CELLS),
            (printable(value, LONGEST_VALUE), "text"),
        ]
        for name, value in values.items()
    ]


def _tried(draw: Callable[[], list[Row]]) -> list[Row]:
    """Draw what is read, or say why it cannot be."""
    try:
        return draw()
    except ArcError as error:
        return [_refusal(error)]


def _refusal(problem: object) -> Row:
    return [(f" ✗ {problem}", "error")]


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _json(value: object) -> str:
    return json.dumps(value, default=str)


def _group_rows(state: TrainingState) -> list[Row]:
    rows: list[Row] = []
    for group in state.groups:
        name = f"{group.optimizer}/{group.name}" if group.optimizer != group.name else group.name
        rows += pairs({name: f"{group.learning_rate:g}"})
        told = ", ".join(
            f"{setting} {_json(value)}"
            for setting, value in group.settings.items()
            if value not in (None, False)
        )
        rows.append([(f"   {printable(told, LONGEST_VALUE)}", "muted")])
    return rows


def _memory_head(state: TrainingState) -> list[Row]:
    if state.memory_ema is None:
        return []
    return pairs(
        {
            "mean accuracy": f"{state.memory_ema:.4f}",
            "threshold": f"{state.memory_threshold:.4f}",
            "entries": f"{_number(state.memory_entries)}, {_number(state.memory_stored)} ever stored",
        }
    )


def _entry_row(entry: MemoryEntry, cells: int) -> Row:
    sides = f"{len(entry.rows)}x{len(entry.rows[0]) if entry.rows else 0}"
    left = f" {printable(entry.task, 20):<14} pair {entry.pair:<4}{sides:>6}  {entry.accuracy:7.2%} "
    return [(left, "text"), (bar(entry.accuracy, max(min(cells - len(left), 20), 0)), "good")]


def _entry_details(entries: Sequence[MemoryEntry], index: int) -> list[Row]:
    if not 0 <= index < len(entries):
        return [[("Choose an entry to see its grid", "muted")]]
    entry = entries[index]
    title = f"{printable(entry.task, 40)} pair {entry.pair}: {entry.accuracy:.2%} of cells right"
    return grids_beside([(title, entry.rows)])


def _preference_rows(browsed: Browsed, cells: int) -> list[Row]:
    found = preference(browsed.checkpoint)
    if found is None:
        return [[(" the checkpoint has no colour preference", "muted")]]
    rows: list[Row] = [[(f" {'colour':<14}{'C':>8}{'anchor':>10}", "muted")]]
    room, most = max(min(cells - 36, 40), 4), max(*found.base, 1e-9)
    for colour, (base, anchor) in enumerate(zip(found.base, found.anchor, strict=False)):
        known = colour < len(COLOURS)
        swatch = (f" {colour} ", f"grid.{colour}") if known else (f" {colour} ", "text")
        name = COLOURS[colour] if known else ""
        style = f"half.{colour}" if known else "series.0"
        rows.append(
            [
                (" ", ""),
                swatch,
                (f" {name:<10}", "text"),
                (f"{base:>8.4f}{anchor:>10.4f}  ", "text"),
                (bar(base / most, room) or "▏", style),
            ]
        )
    return rows


def _configuration_rows(browsed: Browsed) -> list[Row]:
    found = configuration(browsed.checkpoint)
    if not found:
        return [[(" the checkpoint lies outside a run: its configuration is in the run's run.json", "muted")]]
    return pairs({name: _json(value) for name, value in found.items()})


def update_row(update: Update, cells: int) -> Row:
    """Draw a parameter's moments."""
    ratio = f"{update.ratio:>10.2e} {update.weight_norm:>10.3g} {update.second_mean:>10.2e} "
    style = "warning" if update.ratio > 1e-2 else "text"
    return [
        *fill([(f" {printable(update.parameter, 200)}", "text")], max(cells - len(ratio), 8)),
        (ratio, style),
    ]


def update_heading(cells: int) -> Row:
    """Name the columns of moments."""
    names = f"{'RATIO':>10} {'WEIGHT':>10} {'GRADIENT':>10} "
    return [*fill([(" PARAMETER", "muted")], max(cells - len(names), 8)), (names, "muted")]
