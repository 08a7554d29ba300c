"""The report as one HTML file: no scripts, nothing loaded from elsewhere, light and dark, fit to print."""

from __future__ import annotations

from collections.abc import Sequence

from arc_core.base.text import printable
from arc_tui.drawing.signs import PHASE_SIGNS
from arc_tui.looks.themes import Theme
from arc_tui.report import tables
from arc_tui.report.charts import charts_of
from arc_tui.report.panels import Picture, picture, sample_picture
from arc_tui.report.record import Record
from arc_tui.report.svg import FONT, Markup, element, style_sheet, text_of
from arc_tui.runs.samples import Sample
from arc_tui.runs.state import Phase

MOST_SAMPLES = 8
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Whatever a run's texts hold: a browser loads nothing and runs nothing."""

_LAYOUT = (
    "*{box-sizing:border-box}body{margin:0 auto;max-width:1180px;padding:24px 20px 60px;"
    f"font:14px/1.5 {FONT}}}"
    "h1{font-size:22px;margin:0 0 2px;overflow-wrap:anywhere}h2{font-size:16px;margin:34px 0 10px}"
    "nav{margin:12px 0 20px}nav a{margin-right:14px}.lead{margin:0 0 14px}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px}"
    ".card{border-radius:8px;padding:10px 14px}.card b{display:block;font-size:20px;"
    "font-variant-numeric:tabular-nums}.card span{font-size:12px}"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:16px}"
    "figure{margin:0;border-radius:8px;overflow:hidden}svg{display:block;width:100%;height:auto}"
    "figcaption{padding:2px 14px 10px;font-size:12px;overflow-wrap:anywhere}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px}"
    "th,td{text-align:left;vertical-align:top;padding:4px 12px 4px 0;overflow-wrap:break-word}"
    "td.n{font-variant-numeric:tabular-nums}.facts th{width:160px;font-weight:500}"
    ".facts td{overflow-wrap:anywhere}"
    "svg.swatch{display:inline-block;width:26px;height:10px;margin-right:7px}th .runs{font-weight:400}"
    "td.name{white-space:nowrap}tr.changed td{font-weight:600}.none{margin:4px 0}"
    "@media print{body{max-width:none;padding:0}nav{display:none}figure,.card,tr{break-inside:avoid}"
    "h2{break-after:avoid}.charts{grid-template-columns:1fr 1fr}}"
)


def page(record: Record, light: Theme, dark: Theme, now: float) -> str:
    """Write the report of a run.

    Args:
        record: The run.
        light: Colours for readers whose screen is light, and for paper.
        dark: Colours for readers whose screen is dark.
        now: Seconds since the epoch, for the foot of the page.
    """
    name, phase = record.run.name, record.state.phase.value
    sections = _sections(record)
    body = [
        element("h1", text_of(name)),
        element("p", text_of(f"{PHASE_SIGNS[record.state.phase]} {phase}"), class_=f"lead s-{phase}"),
        element("div", *(_card(*figure) for figure in tables.key_figures(record)), class_="cards"),
        links_to(sections),
        *sections_of(sections),
        footer(now),
    ]
    return document(name, body, light, dark)


def document(title: str, body: Sequence[Markup], light: Theme, dark: Theme) -> str:
    """Write a page.

    Args:
        title: What a browser calls it.
        body: What is on it.
        light: Colours for readers whose screen is light, and for paper.
        dark: Colours for readers whose screen is dark.
    """
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", text_of(f"{printable(title, 80)} - arc-tui")),
        element("style", _styles(light, dark)),
    ]
    return (
        "<!doctype html>\n"
        + element("html", element("head", *head), element("body", *body), lang="en")
        + "\n"
    )


Part = tuple[str, str, Markup]
"""Of a page: its anchor, its heading and its content."""


def links_to(parts: Sequence[Part]) -> Markup:
    """Write links to the parts of a page."""
    return element("nav", *(element("a", text_of(title), href=f"#{key}") for key, title, _ in parts))


def sections_of(parts: Sequence[Part]) -> list[Markup]:
    """Write the parts of a page."""
    return [
        element("section", element("h2", text_of(title)), content, id=key) for key, title, content in parts
    ]


def footer(now: float) -> Markup:
    """Write when the page was written, in seconds since the epoch."""
    return element("footer", element("p", text_of(f"Written {tables.moment(now)} by arc-tui report.")))


def embedded(drawing: Picture, title: str) -> Markup:
    """Return a drawing as an `svg` element of a page."""
    return element(
        "svg",
        element("title", text_of(title)),
        drawing.content,
        viewBox=f"0 0 {drawing.width:g} {drawing.height:g}",
        role="img",
    )


def _sections(record: Record) -> list[Part]:
    """Return every part of the page; parts without content are left out."""
    charts = [element("figure", embedded(picture(record, name), name)) for name in charts_of(record)]
    samples = [_sample(sample) for sample in _chosen_samples(record)]
    found = [
        ("summary", "Summary", tables.summary(record)),
        ("notes", "Notes", tables.notes(record)),
        ("fixes", f"{tables.evidence_title(record)}, at the last step", tables.evidence(record)),
        ("warnings", "Warnings", tables.warnings(record)),
        ("charts", "Charts", element("div", *charts, class_="charts")),
        ("samples", "Samples", element("div", *samples, class_="charts") if samples else ""),
        ("validations", "Validations", tables.validations(record)),
        ("epochs", "Epochs", tables.epochs(record)),
        ("checkpoints", "Checkpoints", tables.checkpoints(record)),
        ("log", "What happened", tables.happened(record)),
        ("configuration", "Configuration", tables.configuration(record)),
    ]
    return [part for part in found if part[2]]


def _chosen_samples(record: Record) -> list[Sample]:
    """Return samples spread over the run, the first and the last among them."""
    steps = record.history.sample_steps
    if len(steps) > MOST_SAMPLES:
        steps = [steps[round(at * (len(steps) - 1) / (MOST_SAMPLES - 1))] for at in range(MOST_SAMPLES)]
    found = [record.history.sample_at(step) for step in steps]
    return [sample for sample in found if sample is not None]


def _sample(sample: Sample) -> Markup:
    drawing = embedded(sample_picture(sample), f"task {sample.task} at step {sample.step}")
    caption = element("figcaption", text_of(sample.rule)) if sample.rule else ""
    return element("figure", drawing, caption)


def _card(name: str, value: str, note: str) -> Markup:
    return element(
        "div",
        element("span", text_of(name)),
        element("b", text_of(value)),
        element("span", text_of(note), class_="quiet"),
        class_="card",
    )


def _styles(light: Theme, dark: Theme) -> str:
    return (
        _LAYOUT
        + _colours(light)
        + f"@media screen and (prefers-color-scheme: dark){{{_colours(dark)}}}"
        + "@media print{body{background:#ffffff}}"
    )


def _colours(theme: Theme) -> str:
    surface, status = theme.surface, theme.status
    state_colours = {
        Phase.STARTING: surface.accent,
        Phase.RUNNING: status.running,
        Phase.PAUSING: status.paused,
        Phase.PAUSED: status.paused,
        Phase.SAVING: surface.accent,
        Phase.STOPPED: status.muted,
        Phase.CRASHED: status.crashed,
        Phase.FINISHED: status.finished,
    }
    states = "".join(f".s-{phase.value}{{color:{colour}}}" for phase, colour in state_colours.items())
    return (
        f"body{{background:{surface.background};color:{surface.text}}}a{{color:{surface.accent}}}"
        f".card,figure{{background:{surface.panel};border:1px solid {surface.border}}}"
        f".quiet,figcaption,.none,th,footer{{color:{status.muted}}}"
        f"th,td{{border-bottom:1px solid {surface.border}}}tr.changed td{{color:{surface.text}}}"
        f"{states}{style_sheet(theme)}"
    )
