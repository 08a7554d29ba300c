"""The model card of weights: a README for a hub, written from the run that they are of.

Whatever a run's files hold is text here: no character of it is Markdown, HTML or YAML, or starts a link.
"""

from __future__ import annotations

import importlib.metadata
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from arc_core.base.text import printable
from arc_core.data.scoring import wilson_interval
from arc_core.run.event_forms import ValidationEvent
from arc_core.solver.weights_file import WeightsNotes
from arc_tui.report.record import Record
from arc_tui.report.tables import NOT_KNOWN, moment, notes_of, options_of
from arc_tui.runs.fields import duration

FRONT = """---
library_name: arc-tui
tags:
- arc-agi
- arc-tui
---"""
"""What a hub reads; nothing of a run is in it."""

OF_THIS_MACHINE = frozenset(
    {
        "name",
        "runs_dir",
        "device",
        "threads",
        "headless",
        "detach",
        "prepare",
        "mirror",
        "resume",
        "checkpoint",
    }
)
"""Options that say where and how a run was started, not what it has learned."""

LICENCES = {
    "arcagi1": "ARC-AGI-1 is published by F. Chollet under Apache 2.0.",
    "arcagi2": "ARC-AGI-2 is published by the ARC Prize Foundation under Apache 2.0.",
}
LONGEST = 300
"""Characters of a value."""
LONGEST_NOTE = 2000


@dataclass(frozen=True)
class Sent:
    """The weights that a card is of.

    Attributes:
        repo: Where they are sent, `USER/REPO`.
        checkpoint: Id of the checkpoint that they are of.
        is_best: Whether that is the best one, by the run's own validations.
        notes: What stands in the file beside the tensors.
        sha256: Of the file, in hexadecimal.
    """

    repo: str
    checkpoint: int
    is_best: bool
    notes: WeightsNotes
    sha256: str


def model_card(record: Record, sent: Sent) -> str:
    """Write the card.

    Args:
        record: The run.
        sent: Its weights.

    Returns:
        Markdown with a YAML front matter.
    """
    parts = [
        FRONT,
        f"# {plain(record.run.name)}",
        "Weights of an agent that solves ARC-AGI tasks, trained by arc-tui "
        f"{plain(importlib.metadata.version('arc-tui'))}. It adapts to each task by training on its "
        "demonstrations.",
        "## Use",
        "    pip install 'arc-tui[train,hub]'\n"
        f"    arc-tui solve TASK --weights {sent.repo}\n"
        f"    arc-tui eval --dataset arcagi2 --weights {sent.repo}",
        "## Training",
        _table(("", ""), _facts(record, sent)),
        "## Validation",
        _validation(record),
        *_options(record),
        *_notes(record),
        "## Licence of the data",
        _licences(sent.notes.recipe),
    ]
    return "\n\n".join(parts) + "\n"


def plain(value: object, limit: int = LONGEST) -> str:
    """Write a value such that nothing of it is Markdown, HTML or a link; a path as its last name alone."""
    text = str(value)
    if isinstance(value, str) and value.startswith(("/", "~")):
        text = Path(value).name
    return re.sub(
        r"([\\`*_\[\]<>(){}!|~&#:@$]|(?<=www)\.)", r"\\\1", printable(text, limit), flags=re.IGNORECASE
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _facts(record: Record, sent: Sent) -> list[tuple[str, str]]:
    recipe = sent.notes.recipe
    best = ", the best by its validations" if sent.is_best else ""
    trained = f", {duration(_number(recipe, 'seconds'))} of training"
    versions = {name: value for name, value in _part(recipe, "versions").items() if value}
    data = f"{plain(recipe.get('dataset'))}, {len(sent.notes.seen.ids):,} tasks"
    return [
        ("Checkpoint", f"{sent.checkpoint}, step {plain(recipe.get('step'))}{trained}{best}"),
        ("Data", data),
        ("Data's sha256", plain(recipe.get("tasks_sha256") or NOT_KNOWN)),
        ("Generated data", plain(recipe.get("extra_data") or "none")),
        ("Seed", plain(recipe.get("seed"))),
        ("Preset", plain(_part(record.run_json, "config").get("preset", NOT_KNOWN))),
        ("Versions", ", ".join(f"{plain(name, 60)} {plain(value, 60)}" for name, value in versions.items())),
        ("Commit of arc-tui", _commit(recipe)),
        ("Started", moment(record.started)),
        ("Weights' sha256", sent.sha256),
    ]


def _commit(recipe: dict[str, Any]) -> str:
    git = _part(recipe, "git")
    return f"{plain(git.get('revision') or NOT_KNOWN)}{', with changes' if git.get('modified') else ''}"


def _validation(record: Record) -> str:
    """Write the best validation, counts with their 95% interval."""
    best = record.state.best_validation
    if best is None:
        return "None was made."
    event = best.event
    rows: list[tuple[str, str]] = []
    if math.isfinite(best.score):
        rows.append(("Score", f"{best.score:.4f}"))
    if event is not None:
        rows += [
            (shown, _share(event, name, total))
            for shown, name, total in (
                ("Exact inputs", "exact", "inputs"),
                ("Tasks", "tasks_solved", "tasks"),
            )
            if event.has(name) and event.count(total)
        ]
    if math.isfinite(best.cell_accuracy):
        rows.append(("Right cells", f"{best.cell_accuracy:.2%}"))
    split = f" on {plain(event.split)}" if event is not None and event.split else ""
    said = (
        f"The run's best, at step {best.step:,}{split}. It is the run's own measure, no score of ARC Prize."
    )
    return f"{said}\n\n{_table(('', ''), rows)}"


def _share(event: ValidationEvent, name: str, total: str) -> str:
    count, of = event.count(name), event.count(total)
    low, high = wilson_interval(count, of)
    return f"{count:,} of {of:,} ({count / of:.1%}, 95% interval {low:.1%} to {high:.1%})"


def _options(record: Record) -> list[str]:
    """Write the options that differ from the preset; nothing where none does."""
    changed = [one for one in options_of(record) if one.changed and one.name not in OF_THIS_MACHINE]
    rows = [(plain(one.name), plain(one.value), plain(one.usual)) for one in changed]
    return (
        ["## Options that differ from the preset", _table(("Option", "Value", "Preset's"), rows)]
        if rows
        else []
    )


def _notes(record: Record) -> list[str]:
    rows = [(moment(at), plain(text, LONGEST_NOTE)) for at, text in notes_of(record)]
    return ["## Notes", _table(("Time", "Note"), rows)] if rows else []


def _licences(recipe: dict[str, Any]) -> str:
    sets = [name for name in (recipe.get("dataset"), recipe.get("extra_data")) if name is not None]
    told = [
        LICENCES.get(str(name)) or f"Under which licence {plain(name)} is published is not known to arc-tui."
        for name in sets
    ]
    return "\n".join([*told, "The weights have the licence that their publisher gives them."])


def _number(content: dict[str, Any], name: str) -> float:
    value = content.get(name)
    return float(value) if isinstance(value, int | float) else math.nan


def _part(content: dict[str, Any], name: str) -> dict[str, Any]:
    part: object = content.get(name)
    return cast("dict[str, Any]", part) if isinstance(part, dict) else {}
