"""The page that compares runs: what sets them apart and how they have done, then a chart of every number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from arc_tui.looks.themes import Theme
from arc_tui.report.comparison import Comparison, NamedChart, charts_of, looks_of
from arc_tui.report.page import document, embedded, footer, links_to, sections_of
from arc_tui.report.svg import Markup, element, text_of
from arc_tui.report.tables import NOT_KNOWN
from arc_tui.runs.comparison import RunGroup, differing, letter_of, mean_text, numbers_of, option_text

BESIDE = 4
"""So many runs or groups stand beside each other in the table, more of them below each other."""

MOST_CHARTS = 60
MOST_HEADLINES = 2


def page(comparison: Comparison, light: Theme, dark: Theme, now: float) -> str:
    """Write the page of runs that are compared.

    Args:
        comparison: The runs.
        light: Colours for readers whose screen is light, and for paper.
        dark: Colours for readers whose screen is dark.
        now: Seconds since the epoch, for the foot of the page.
    """
    charts = charts_of(comparison)
    parts = [("runs", "Runs and options", _table(comparison)), ("charts", "Charts", _charts(charts))]
    title = f"{len(comparison.runs)} runs compared"
    body = [
        element("h1", text_of(title)),
        element("p", text_of(_lead(comparison)), class_="lead"),
        links_to(parts),
        *sections_of(parts),
        footer(now),
    ]
    return document(title, body, light, dark)


def _lead(comparison: Comparison) -> str:
    if len(comparison.groups) == len(comparison.runs):
        return "Each run is a line of its own."
    return "Runs that differ in their seed alone are one line: their mean, in the range of all of them."


def _table(comparison: Comparison) -> Markup:
    """Write what is known of each run or group, and the options in which they differ."""
    groups = comparison.groups
    facts = _facts(comparison)
    heads = [_head(group, place) for place, group in enumerate(groups)]
    names = [element("th", text_of(name), scope="col" if len(groups) > BESIDE else "row") for name in facts]
    cells = [[element("td", text_of(value)) for value in values] for values in facts.values()]
    corner = element("th", "", scope="col")
    if len(groups) > BESIDE:
        top = [corner, *names]
        rows = [[head, *of_group] for head, *of_group in zip(heads, *cells, strict=True)]
    else:
        top = [corner, *heads]
        rows = [[name, *values] for name, values in zip(names, cells, strict=True)]
    whole_table = element(
        "table",
        element("thead", element("tr", *top)),
        element("tbody", *(element("tr", *row) for row in rows)),
    )
    alike = element("p", "Their options are the same.", class_="none") if not differing(groups) else ""
    return element("div", whole_table, class_="scroll") + alike


def _head(group: RunGroup, place: int) -> Markup:
    """Write the head of a row or column: how the line is drawn, its letter, and the names of its runs."""
    colour, dash = looks_of(place)
    dashed = f" dash-{dash}" if dash else ""
    line = element("path", class_=f"curve line-{colour}{dashed}", d="M0 5h26")
    swatch = element("svg", line, class_="swatch", viewBox="0 0 26 10", aria_hidden="true")
    names = ", ".join(run.name for run in group.runs)
    return element("th", swatch, text_of(f"{letter_of(place)} {names}"), scope="row", id=f"line-{place + 1}")


def _facts(comparison: Comparison) -> Mapping[str, Sequence[str]]:
    """Return what the table tells, by name, of each group."""
    groups = comparison.groups
    grouped = any(group.members for group in groups)
    found = {
        **({"Runs": [group.members or "1 run" for group in groups]} if grouped else {}),
        "State": [_states(group) for group in groups],
        "Steps": [group.steps for group in groups],
        "Best validation": [
            group.best() if any(run.best is not None for run in group.runs) else "none yet"
            for group in groups
        ],
    }
    declared = [run.history.declared for run in comparison.runs]
    for number in numbers_of(declared)[:MOST_HEADLINES]:
        told = [mean_text(group.values(number)) for group in groups]
        found[f"{number}, last step"] = [NOT_KNOWN if text == "-" else text for text in told]
    for key in differing(groups):
        found[key] = [option_text(group.option(key)) for group in groups]
    return found


def _states(group: RunGroup) -> str:
    phases = Counter(run.state.phase.value for run in group.runs if run.state is not None)
    if len(phases) == 1:
        return next(iter(phases))
    return ", ".join(f"{count} {phase}" for phase, count in phases.items())


def _charts(charts: Mapping[str, NamedChart]) -> Markup:
    """Write the charts behind links to them."""
    if not charts:
        return element("p", "No run has a step yet.", class_="none")
    shown = list(charts.items())[:MOST_CHARTS]
    links = [(f"chart-{at}", chart.title, "") for at, (_, chart) in enumerate(shown, start=1)]
    figures = [
        element(
            "figure", embedded(chart.picture(), chart.title), element("figcaption", text_of(name)), id=key
        )
        for (key, _, _), (name, chart) in zip(links, shown, strict=True)
    ]
    rest = len(charts) - len(shown)
    more = f"{rest} more numbers are left out; each can be drawn by --svg NAME."
    return (
        links_to(links)
        + element("div", *figures, class_="charts")
        + (element("p", text_of(more), class_="none") if rest else "")
    )
