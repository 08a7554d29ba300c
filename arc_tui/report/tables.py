"""The tables of a report."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from arc_core.base.loose import listed, number
from arc_core.base.options import settings_of
from arc_core.pipeline.declared import FIXES
from arc_core.run.declared import GroupKind
from arc_core.run.event_forms import ValidationEvent
from arc_core.run.presets import PRESETS
from arc_core.run.recipes import known_class
from arc_tui.report.record import Record
from arc_tui.report.svg import Markup, element, text_of
from arc_tui.runs.evidence import evidence_of
from arc_tui.runs.fields import duration
from arc_tui.runs.fixes import SIGNS
from arc_tui.runs.listing import best_text
from arc_tui.runs.marks import MarkKind
from arc_tui.runs.sentences import further_numbers, headlines
from arc_tui.runs.state import ValidationResult
from arc_tui.runs.view import RunView

NOT_KNOWN = "–"
MOST_HEADLINES = 2
"""Numbers of the last step among the figures at the top."""

MOST_COLUMNS = 12
"""Numbers in a row of the tables of epochs and validations."""

MOST_ENTRIES = 400
"""Lines of the log that a report holds; the newest are told."""


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, numbers_from: int = 1) -> Markup:
    """Write a table; columns from `numbers_from` on are set flush right."""
    head = element("tr", *(element("th", text_of(name), scope="col") for name in heads))
    body = [
        element(
            "tr",
            *(
                element("td", text_of(cell), class_="n" if place >= numbers_from else None)
                for place, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    if not body:
        return element("p", "None.", class_="none")
    whole_table = element("table", element("thead", head), element("tbody", *body))
    return element("div", whole_table, class_="scroll")


def facts(rows: Iterable[tuple[str, object]]) -> Markup:
    """Write names with their values below each other."""
    pairs = [
        element("tr", element("th", text_of(name), scope="row"), element("td", text_of(value)))
        for name, value in rows
    ]
    return element("table", element("tbody", *pairs), class_="facts")


def moment(seconds: float) -> str:
    """Write a time of the clock, in UTC so that it means the same wherever the file is read."""
    if not 0 <= seconds < 1e11:
        return NOT_KNOWN
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def key_figures(record: Record) -> list[tuple[str, str, str]]:
    """Return the figures at the top of the page: name, value, and what to know of it."""
    state, view = record.state, record.view
    total = view.facts.total_steps
    best, ranked = _best(state.best_validation) if state.best_validation else (NOT_KNOWN, "none yet")
    saved = state.last_checkpoint
    return [
        ("Steps", f"{state.step:,}", f"of {total:,}" if total else ""),
        ("Epoch", f"{state.epoch}", f"of {view.facts.epochs}, from 0" if view.facts.epochs else ""),
        ("Trained for", duration(view.latest("elapsed_seconds")), "pauses left out"),
        *_headlines(view),
        ("Best validation", best, ranked),
        (
            "Last checkpoint",
            f"{saved.id:05d}" if saved else NOT_KNOWN,
            f"step {saved.step:,}, {'verified' if saved.verified else 'not verified'}"
            if saved
            else "none yet",
        ),
        ("Speed", _figure(view.latest("pairs_per_second"), ".1f"), "pairs/s, last step"),
    ]


def _headlines(view: RunView) -> list[tuple[str, str, str]]:
    """Return the figures of what tells most of the last step."""
    found: list[tuple[str, str, str]] = []
    for dotted in view.declared.headlines[:MOST_HEADLINES]:
        group, number = view.declared.by_name[dotted.partition(".")[0]], view.declared.numbers[dotted]
        name = group.shown if number.name in group.totals else number.shown
        note = f"{number.shown}, " if len(group.totals) > 1 else ""
        form = "+.4f" if group.kind is GroupKind.SIGNED else ".4f"
        found.append((name, _figure(view.latest(dotted), form), f"{note}last step"))
    return found


def _best(best: ValidationResult) -> tuple[str, str]:
    """Write what a validation is ranked by, and what else there is to know of it."""
    cells = f"; {best.cell_accuracy:.2%} of cells" if math.isfinite(best.cell_accuracy) else ""
    if math.isfinite(best.score):
        return f"{best.score:.4f}", f"score{cells}, step {best.step:,}"
    return f"{best.exact}/{best.inputs}", f"exact{cells}, step {best.step:,}"


def summary(record: Record) -> Markup:
    """Write what the run is."""
    content, state = record.run_json, record.state
    dataset = _part(content, "dataset")
    git, versions = _part(content, "git"), _part(content, "versions")
    ended = f"{state.phase.value}" + (f" ({state.reason})" if state.reason else "")
    modified = ", with changes" if git.get("modified") else ""
    return facts(
        [
            ("State", ended),
            ("Started", moment(record.started)),
            ("Last event", moment(state.updated if state.updated is not None else -1.0)),
            ("Processes", f"{state.starts}"),
            ("Plan", record.view.facts.summary or NOT_KNOWN),
            ("Dataset", f"{dataset.get('name', NOT_KNOWN)}, sha256 {dataset.get('sha256', NOT_KNOWN)}"),
            *_claims(record),
            ("Device", record.view.facts.device or NOT_KNOWN),
            ("Best validation", best_text(state.best_validation)),
            ("Git revision", f"{git.get('revision') or NOT_KNOWN}{modified}"),
            ("Versions", ", ".join(f"{name} {value}" for name, value in versions.items()) or NOT_KNOWN),
            ("Command", " ".join(map(str, listed(content, "argv"))) or NOT_KNOWN),
            ("Damaged lines", f"{record.damaged}"),
        ]
    )


def _claims(record: Record) -> list[tuple[str, object]]:
    """Return what the run claims of itself, of a language model what run.json knows of it."""
    model = _part(record.run_json, "language_model")
    known = f"{model.get('name', NOT_KNOWN)}, trained: {model.get('train', NOT_KNOWN)}"
    return [
        ("Language model", known) if name == "lm" else (name.capitalize(), value)
        for name, value in record.view.facts.claims.items()
    ]


def evidence(record: Record) -> Markup:
    """Write what each part of the run was doing at the last step; empty where nothing tells of it."""
    rows = [
        (fix.number, fix.name, f"{SIGNS[fix.work]} {fix.work.value}", fix.evidence, fix.reason)
        for fix in evidence_of(record.view)
    ]
    what = "Fix" if record.view.declared.judge == FIXES else "Part"
    return table(("", what, "State", "Evidence", "Why"), rows, numbers_from=9) if rows else ""


def evidence_title(record: Record) -> str:
    """Return what the parts are called together."""
    return "The seven fixes" if record.view.declared.judge == FIXES else "Evidence"


def warnings(record: Record) -> Markup:
    """Write the warnings with their advice."""
    rows = [(moment(w.time), w.code, w.message, w.advice) for w in record.state.warnings]
    return table(("Time", "Code", "Warning", "Advice"), rows, numbers_from=9)


def epochs(record: Record) -> Markup:
    """Write the means of each epoch: what lines tell of it, then what else tells most."""
    declared = record.view.declared
    labels: dict[str, str] = {}
    for shown in (*declared.epoch_lines, *declared.epoch_line):
        labels.setdefault(shown.number, shown.label)
    for label, dotted in declared.metrics.items():
        labels.setdefault(dotted, label.replace("_", " "))
    for shown in headlines(declared, MOST_COLUMNS):
        labels.setdefault(shown.number, shown.label)
    norms = {group.name for group in declared.groups if group.kind is GroupKind.NORMS}
    forms = {dotted: ".2e" if dotted.partition(".")[0] in norms else ".4f" for dotted in labels}
    rows = [
        (
            epoch.epoch,
            *(_figure(epoch.number(dotted), form) for dotted, form in forms.items()),
            _figure(epoch.number("pairs_per_second"), ".1f"),
            duration(epoch.number("seconds")),
        )
        for epoch in record.epochs
    ]
    heads = (label[:1].upper() + label[1:] for label in labels.values())
    return table(("Epoch", *heads, "Pairs/s", "Time"), rows)


def validations(record: Record) -> Markup:
    """Write what the validations have measured, beside their baselines."""
    columns = [column for column in _MEASURED if any(event.has(column[0]) for event in record.validations)]
    further = [dict(further_numbers(event)) for event in record.validations]
    names = list(dict.fromkeys(name for known in further for name in known))[:MOST_COLUMNS]
    rows = [
        (
            f"{event.step:,}",
            event.split or NOT_KNOWN,
            *(_measured(event, name, form) for name, _, form in columns),
            *(_figure(known.get(name, math.nan), ".4g") for name in names),
        )
        for event, known in zip(record.validations, further, strict=True)
    ]
    return table(("Step", "Split", *(head for _, head, _ in columns), *names), rows)


_MEASURED = (
    ("score", "Score", ".4f"),
    ("exact", "Exact", "inputs"),
    ("tasks_solved", "Tasks", "tasks"),
    ("cell_accuracy", "Cells", ".4f"),
    ("copy_cell_accuracy", "Copy", ".4f"),
    ("black_cell_accuracy", "Black", ".4f"),
    ("size_accuracy", "Sizes", ".4f"),
    ("accuracy_delta", "Delta", "+.4f"),
)
"""What a validation may have measured: name, head of its column, and its form or what it is out of."""


def _measured(event: ValidationEvent, name: str, form: str) -> str:
    if not event.has(name):
        return NOT_KNOWN
    if name in ("exact", "tasks_solved"):
        return f"{event.count(name)}/{event.count(form)}"
    return _figure(event.number(name), form)


def checkpoints(record: Record) -> Markup:
    """Write the checkpoints that were saved, and those that failed."""
    kinds = (MarkKind.CHECKPOINT, MarkKind.CHECKPOINT_FAILED)
    rows = [(f"{mark.step:,}", moment(mark.time), mark.text) for mark in record.history.marks(kinds=kinds)]
    return table(("Step", "Time", "What"), rows, numbers_from=9)


def happened(record: Record) -> Markup:
    """Write the newest lines of the log."""
    rows = [(moment(entry.time), entry.text) for entry in record.history.entries[-MOST_ENTRIES:]]
    return table(("Time", "What"), rows, numbers_from=9)


@dataclass(frozen=True)
class Option:
    """An option of a run.

    Attributes:
        name: Its name.
        value: What the run has.
        usual: What its preset, or else the recipe, has; the same value where that is not known.
        meaning: What it is; empty where that is not known.
    """

    name: str
    value: object
    usual: object
    meaning: str

    @property
    def changed(self) -> bool:
        """Whether the run has something else."""
        return self.value != self.usual


def options_of(record: Record) -> list[Option]:
    """Return every option of a run."""
    stored = _part(record.run_json, "config")
    preset = stored.get("preset")
    known = settings_of(known_class(stored))
    usual = {name: setting.default for name, setting in known.items()}
    usual |= PRESETS.get(preset, {}) if isinstance(preset, str) else {}
    return [
        Option(name, value, usual.get(name, value), known[name].help if name in known else "")
        for name, value in stored.items()
    ]


def configuration(record: Record) -> Markup:
    """Write every option, its value, and what it means; those that differ from the preset are marked."""
    rows: list[Markup] = []
    for option in options_of(record):
        cells = [
            element("td", text_of(("• " if option.changed else "") + option.name), class_="name"),
            element("td", text_of("none" if option.value is None else option.value)),
            element("td", text_of(f"{option.usual}" if option.changed else "")),
            element("td", text_of(option.meaning)),
        ]
        rows.append(element("tr", *cells, class_="changed" if option.changed else None))
    heads = ("Option", "Value", "Preset's", "Meaning")
    head = element("tr", *(element("th", text_of(name), scope="col") for name in heads))
    whole_table = element("table", element("thead", head), element("tbody", *rows))
    return element("div", whole_table, class_="scroll")


def notes_of(record: Record) -> list[tuple[float, str]]:
    """Return the notes that were kept with a run: time in seconds since the epoch, and text."""
    kept = [cast("dict[str, Any]", one) for one in listed(record.run_json, "notes") if isinstance(one, dict)]
    return [(number(note, "time"), str(note.get("text", ""))) for note in kept]


def notes(record: Record) -> Markup:
    """Write the notes that were kept with the run; empty without any."""
    rows = [(moment(at), text) for at, text in notes_of(record)]
    return table(("Time", "Note"), rows, numbers_from=9) if rows else ""


def _figure(value: float, form: str = ".4f") -> str:
    return NOT_KNOWN if value != value else format(value, form)


def _part(content: dict[str, Any], name: str) -> dict[str, Any]:
    part: object = content.get(name)
    return cast("dict[str, Any]", part) if isinstance(part, dict) else {}
