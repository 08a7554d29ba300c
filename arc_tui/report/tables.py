"""The tables of a report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, cast

from arc_core.base.loose import listed, number
from arc_core.base.options import settings_of
from arc_core.run.presets import PRESETS
from arc_core.run.recipes import known_class
from arc_tui.report.record import Record
from arc_tui.report.svg import Markup, element, text_of
from arc_tui.runs.fields import NOT_PART, duration
from arc_tui.runs.fixes import SIGNS, assess
from arc_tui.runs.listing import best_text
from arc_tui.runs.marks import MarkKind

NOT_KNOWN = "–"
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
    best = state.best_validation
    saved = state.last_checkpoint
    return [
        ("Steps", f"{state.step:,}", f"of {total:,}" if total else ""),
        ("Epoch", f"{state.epoch}", f"of {view.facts.epochs}, from 0" if view.facts.epochs else ""),
        ("Trained for", duration(view.latest("elapsed_seconds")), "pauses left out"),
        ("Loss", _figure(view.latest("loss.combined")), "combined, last step"),
        ("Reward", _figure(view.latest("reward.total"), "+.4f"), "last step"),
        (
            "Best validation",
            f"{best.exact}/{best.inputs}" if best else NOT_KNOWN,
            f"exact; {best.cell_accuracy:.2%} of cells, step {best.step:,}" if best else "none yet",
        ),
        (
            "Last checkpoint",
            f"{saved.id:05d}" if saved else NOT_KNOWN,
            f"step {saved.step:,}, {'verified' if saved.verified else 'not verified'}"
            if saved
            else "none yet",
        ),
        ("Speed", _figure(view.latest("pairs_per_second"), ".1f"), "pairs/s, last step"),
    ]


def summary(record: Record) -> Markup:
    """Write what the run is."""
    content, state = record.run_json, record.state
    dataset, model = _part(content, "dataset"), _part(content, "language_model")
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
            (
                "Language model",
                NOT_PART
                if record.view.lacks("grad_norm.lm")
                else f"{model.get('name', NOT_KNOWN)}, trained: {model.get('train', NOT_KNOWN)}",
            ),
            ("Device", record.view.facts.device or NOT_KNOWN),
            ("Best validation", best_text(state.best_validation)),
            ("Git revision", f"{git.get('revision') or NOT_KNOWN}{modified}"),
            ("Versions", ", ".join(f"{name} {value}" for name, value in versions.items()) or NOT_KNOWN),
            ("Command", " ".join(map(str, listed(content, "argv"))) or NOT_KNOWN),
            ("Damaged lines", f"{record.damaged}"),
        ]
    )


def fixes(record: Record) -> Markup:
    """Write what each of the seven fixes was doing at the last step."""
    rows = [
        (fix.number, fix.name, f"{SIGNS[fix.work]} {fix.work.value}", fix.evidence, fix.reason)
        for fix in assess(record.view)
    ]
    return table(("", "Fix", "State", "Evidence", "Why"), rows, numbers_from=9)


def warnings(record: Record) -> Markup:
    """Write the warnings with their advice."""
    rows = [(moment(w.time), w.code, w.message, w.advice) for w in record.state.warnings]
    return table(("Time", "Code", "Warning", "Advice"), rows, numbers_from=9)


def epochs(record: Record) -> Markup:
    """Write the means of each epoch."""
    names = ("loss.efe_total", "loss.combined", "reward.total", "accuracy.cell", "accuracy.exact")
    heads = ("Epoch", "EFE loss", "Combined", "Reward", "Cells right", "Exact", "LM gradient", "Threshold")
    rows = [
        (
            epoch.epoch,
            *(_figure(epoch.number(name)) for name in names),
            _figure(epoch.number("grad_norm.lm"), ".2e"),
            _figure(epoch.number("memory.threshold")),
            _figure(epoch.number("pairs_per_second"), ".1f"),
            duration(epoch.number("seconds")),
        )
        for epoch in record.epochs
    ]
    return table((*heads, "Pairs/s", "Time"), rows)


def validations(record: Record) -> Markup:
    """Write the validations beside their baselines."""
    heads = ("Step", "Split", "Exact", "Tasks", "Cells", "Copy", "Black", "Sizes", "Delta")
    rows = [
        (
            f"{event.step:,}",
            event.split or NOT_KNOWN,
            f"{event.exact}/{event.inputs}",
            f"{event.count('tasks_solved')}/{event.count('tasks')}",
            _figure(event.cell_accuracy),
            _figure(event.number("copy_cell_accuracy")),
            _figure(event.number("black_cell_accuracy")),
            _figure(event.number("size_accuracy")),
            _figure(event.number("accuracy_delta"), "+.4f"),
        )
        for event in record.validations
    ]
    return table(heads, rows)


def checkpoints(record: Record) -> Markup:
    """Write the checkpoints that were saved, and those that failed."""
    kinds = (MarkKind.CHECKPOINT, MarkKind.CHECKPOINT_FAILED)
    rows = [(f"{mark.step:,}", moment(mark.time), mark.text) for mark in record.history.marks(kinds=kinds)]
    return table(("Step", "Time", "What"), rows, numbers_from=9)


def happened(record: Record) -> Markup:
    """Write the newest lines of the log."""
    rows = [(moment(entry.time), entry.text) for entry in record.history.entries[-MOST_ENTRIES:]]
    return table(("Time", "What"), rows, numbers_from=9)


def configuration(record: Record) -> Markup:
    """Write every option, its value, and what it means; those that differ from the preset are marked."""
    stored = _part(record.run_json, "config")
    preset = stored.get("preset")
    known = settings_of(known_class(stored))
    defaults = {name: setting.default for name, setting in known.items()}
    defaults |= PRESETS.get(preset, {}) if isinstance(preset, str) else {}
    rows: list[Markup] = []
    for name, value in stored.items():
        changed = name in defaults and value != defaults[name]
        meaning = known[name].help if name in known else ""
        cells = [
            element("td", text_of(("• " if changed else "") + name), class_="name"),
            element("td", text_of("none" if value is None else value)),
            element("td", text_of(f"{defaults[name]}" if changed else "")),
            element("td", text_of(meaning)),
        ]
        rows.append(element("tr", *cells, class_="changed" if changed else None))
    heads = ("Option", "Value", "Preset's", "Meaning")
    head = element("tr", *(element("th", text_of(name), scope="col") for name in heads))
    whole_table = element("table", element("thead", head), element("tbody", *rows))
    return element("div", whole_table, class_="scroll")


def notes(record: Record) -> Markup:
    """Write the notes that were kept with the run; empty without any."""
    rows = [
        (moment(number(cast("dict[str, Any]", note), "time")), cast("dict[str, Any]", note).get("text", ""))
        for note in listed(record.run_json, "notes")
        if isinstance(note, dict)
    ]
    return table(("Time", "Note"), rows, numbers_from=9) if rows else ""


def _figure(value: float, form: str = ".4f") -> str:
    return NOT_KNOWN if value != value else format(value, form)


def _part(content: dict[str, Any], name: str) -> dict[str, Any]:
    part: object = content.get(name)
    return cast("dict[str, Any]", part) if isinstance(part, dict) else {}
