"""The report of a run: whole, by itself, and made of text only; pictures whose numbers are the run's."""

import math
import re
import struct
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_events import counting, typed
from recordings import console_events, make_run
from typer.testing import CliRunner

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.text import is_printable
from arc_core.run.directory import RunDirectory
from arc_tui.cli import app
from arc_tui.commands.report import PANELS as NAMES_IN_HELP
from arc_tui.drawing import axes as axis
from arc_tui.looks.themes import load_theme
from arc_tui.report.charts import GRIDS, PIPELINE
from arc_tui.report.curves import HEIGHT, WIDTH, CurvePoints, LineChart, draw
from arc_tui.report.page import page
from arc_tui.report.panels import panels_of, picture, png_file, svg_file
from arc_tui.report.record import Record, read_record
from arc_tui.report.svg import element, text_of
from arc_tui.runs.marks import Mark, MarkKind
from arc_tui.runs.state import initial, observed, reduce

NOW = 1_800_000_000.0
PANELS = (*PIPELINE, GRIDS)
HOSTILE = "</title><script>alert(1)</script>\x1b]0;x\x07\u202e\"'&"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_record(make_run(tmp_path_factory.mktemp("runs")), NOW)


@pytest.fixture(scope="module")
def html(record: Record) -> str:
    return page(record, load_theme("arc-light"), load_theme("arc-dark"), NOW)


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text of its tables."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_record_is_what_the_events_add_up_to(record: Record):
    assert record.state == observed(reduce(typed(console_events()), initial(record.run_json)), alive=False)
    kept = [event for event in counting(console_events()) if event["type"] == "epoch"]
    assert record.epochs == typed(kept)
    assert record.history.last_step == 60


def test_page_loads_nothing_and_runs_nothing(html: str):
    found = Tags(html).tags
    assert {"script", "iframe", "img", "object", "embed", "base", "form"} & {tag for tag, _ in found} == set()
    for tag, attributes in found:
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, name)
    assert "url(" not in html
    assert "@import" not in html


def test_page_has_every_chart_and_every_option_and_the_numbers_of_the_run(html: str, record: Record):
    parsed = Tags(html)
    drawings = sum(tag == "svg" for tag, _ in parsed.tags)
    assert drawings == len(PIPELINE) + 8
    for name in record.run_json["config"]:
        assert any(name in text for text in parsed.text), name
    validation = record.state.validations[-1]
    assert f"{validation.cell_accuracy:.4f}" in parsed.text
    assert f"{record.epochs[0].number('loss.efe_total'):.4f}" in parsed.text
    for warning in record.state.warnings:
        assert warning.message in parsed.text


def test_page_is_light_and_dark_and_can_be_printed(html: str):
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert load_theme("arc-light").surface.background in html
    assert load_theme("arc-dark").surface.background in html


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_is_a_well_formed_picture(record: Record, name: str):
    root = ET.fromstring(svg_file(picture(record, name), load_theme("arc-light"), name))
    assert root.tag.endswith("svg")
    drawn = [part for part in root.iter() if part.tag.rpartition("}")[2] in ("path", "rect", "polygon")]
    assert len(drawn) > 20
    for part in root.iter():
        places = [part.get(name, "") for name in ("d", "points", "x", "y", "width", "height")]
        assert not any(word in place for place in places for word in ("nan", "inf"))


def test_names_in_the_help_are_those_of_the_panels():
    assert tuple(NAMES_IN_HELP.split(", ")) == PANELS


def test_the_pipeline_has_its_panels(record: Record):
    assert panels_of(record) == PANELS


def test_unknown_panel_names_the_nearest(record: Record):
    with pytest.raises(ConfigError, match=r"no panel for a picture: los; did you mean loss\?"):
        picture(record, "los")


def test_png_has_twice_the_size_of_the_drawing(record: Record):
    content = png_file(picture(record, "loss"), load_theme("arc-light"), "loss")
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == (2 * WIDTH, 2 * HEIGHT)


def test_grids_of_a_step_are_those_of_its_sample(record: Record):
    first = record.history.sample_steps[0]
    sample = record.history.sample_at(first)
    assert sample is not None
    svg = svg_file(picture(record, "grids", first), load_theme("arc-light"), "grids")
    assert f"Task {sample.task}, pair {sample.pair}, step {first}" in svg
    cells = len(re.findall(r'class="g\d cells"', svg))
    assert [one.name for one in sample.grids] == ["input", "before", "after", "target"]
    assert cells == sum(len(row) for one in sample.grids for row in one.grid)


def hostile_run(folder: Path) -> RunDirectory:
    """The recorded run with hostile text wherever a text can stand."""

    def spoiled(value: object) -> object:
        if isinstance(value, dict):
            return {key: spoiled(part) for key, part in value.items()}
        if isinstance(value, list):
            return [spoiled(part) for part in value]
        return HOSTILE if isinstance(value, str) else value

    events = [
        {name: value if name in ("type", "phase") else spoiled(value) for name, value in event.items()}
        for event in console_events()
    ]
    run = make_run(folder, events, "hostile")
    content = spoiled(run.read())
    assert isinstance(content, dict)
    content["notes"] = [{"time": NOW, "text": HOSTILE}]
    run.write(content)
    return run


def test_hostile_texts_stay_texts(tmp_path: Path):
    record = read_record(hostile_run(tmp_path), NOW)
    html = page(record, load_theme("arc-light"), load_theme("arc-dark"), NOW)
    assert [tag for tag, _ in Tags(html).tags if tag == "script"] == []
    assert not set(html) & {chr(code) for code in [*range(9), *range(11, 32), 127, 0x202E]}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b" in html
    for name in PANELS:
        ET.fromstring(svg_file(picture(record, name), load_theme("arc-light"), HOSTILE))


@given(st.text())
def test_any_text_survives_as_a_text_and_as_an_attribute(text: str):
    root = ET.fromstring(element("a", text_of(text), title=text))
    assert is_printable("".join(root.itertext()))
    assert list(root) == []
    if text.isprintable() and text.isascii():
        assert (root.text or "", root.get("title")) == (text, text)


def test_run_without_a_step_has_a_report_that_says_so(tmp_path: Path):
    record = read_record(make_run(tmp_path, []), NOW)
    html = page(record, load_theme("arc-light"), load_theme("arc-dark"), NOW)
    assert "no numbers yet" in html
    assert "Waits for the first step" in html
    with pytest.raises(ConfigError, match="has no sample yet"):
        picture(record, "grids")


def numbers(*values: float) -> np.ndarray:
    return np.array(values)


def polyline(svg: str, look: str) -> list[tuple[float, float]]:
    """Points of the curve of a look."""
    d = re.findall(rf'<path d="([^"]*)" class="curve line-{look}"', svg)[-1]
    return [tuple(map(float, pair.split())) for pair in re.split("[ML]", d.replace("h0", ""))[1:]]  # type: ignore[misc]


def test_curve_is_drawn_where_its_numbers_are():
    values = numbers(0.0, 5.0, 10.0)
    svg = draw(LineChart("x", 1, 3, [CurvePoints(numbers(1, 2, 3), "a", "0", values, values, values)]))
    (x1, y1), (x2, y2), (x3, y3) = polyline(svg, "0")
    assert x2 - x1 == pytest.approx(x3 - x2)
    assert y1 - y2 == pytest.approx(y2 - y3)
    assert y1 > y3


def test_equal_ratios_are_equally_far_apart_on_a_log_scale():
    values = numbers(0.01, 0.1, 1.0)
    svg = draw(
        LineChart("x", 1, 3, [CurvePoints(numbers(1, 2, 3), "a", "0", values, values, values)], log=True)
    )
    (_, y1), (_, y2), (_, y3) = polyline(svg, "0")
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.02)


def test_value_that_is_not_finite_is_a_gap_and_a_mark():
    values = numbers(1.0, math.nan, 2.0)
    mark = Mark(MarkKind.NAN, 2, 7, 0.0, "not finite: loss.risk")
    svg = draw(
        LineChart("x", 1, 3, [CurvePoints(numbers(1, 2, 3), "a", "0", values, values, values)], [mark])
    )
    d = re.findall(r'<path d="([^"]*)" class="curve line-0"', svg)[-1]
    assert (d.count("M"), d.count("L")) == (2, 0)
    assert "step 2: not finite: loss.risk" in svg


def test_spike_between_two_columns_stays_in_the_envelope():
    svg = draw(
        LineChart(
            "x", 1, 2, [CurvePoints(numbers(1, 2), "a", "0", numbers(1, 1), numbers(1, 100), numbers(1, 2))]
        )
    )
    band = re.search(r'points="([^"]*)"', svg)
    assert band is not None
    top = min(float(pair.split(",")[1]) for pair in band[1].split())
    ticks = [float(text.replace(",", "")) for text in re.findall(r">(\d[\d,.]*)</text>", svg)]
    assert max(ticks) == 100
    assert top == pytest.approx(46.0)


def test_values_that_a_log_scale_cannot_show_are_counted():
    values = numbers(0.0, 1.0, 10.0)
    svg = draw(
        LineChart("x", 1, 3, [CurvePoints(numbers(1, 2, 3), "a", "0", values, values, values)], log=True)
    )
    assert "1 value at or below zero" in svg


@given(st.floats(-1e12, 1e12), st.floats(0, 1e12))
def test_linear_axis_covers_its_values_with_few_round_ticks(low: float, span: float):
    found = axis.linear(low, low + span, 0.0, 100.0)
    slack = 1e-8 * max(abs(low), abs(low + span), 1e-9)
    assert found.low <= low + slack
    assert found.high >= low + span - slack
    assert 2 <= len(found.ticks) <= 12
    assert list(found.ticks) == sorted(found.ticks)


@given(st.floats(1e-9, 1e9), st.floats(1, 1e12))
def test_log_axis_covers_its_values(low: float, ratio: float):
    found = axis.logarithmic(low, low * ratio, 0.0, 100.0)
    assert found.low <= low * (1 + 1e-6)
    assert found.high >= low * ratio * (1 - 1e-6)
    assert all(0 <= found.at(tick) <= 100 for tick in found.ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12_000, "12,000"),
        (0.25, "0.25"),
        (3e-5, "3e-5"),
        (2.5e7, "2.5e7"),
        (-1500, "-1,500"),
        (1e6, "1e6"),
    ],
)
def test_ticks_are_short(value: float, text: str):
    assert axis.written(value) == text


def test_command_writes_the_page_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs", name="mine")
    runner = CliRunner()
    assert runner.invoke(app, ["report"]).output == "mine.html\n"
    assert (tmp_path / "mine.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert runner.invoke(app, ["report", "mine", "--svg", "loss"]).output == "mine-loss.svg\n"
    assert runner.invoke(app, ["report", "mi", "--png", "grids", "-o", "g.png"]).output == "g.png\n"
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.png", "mine-loss.svg", "mine.html", "runs"]


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        (["--svg", "loss", "--png", "loss"], ConfigError, "one picture at a time"),
        (["--step", "3"], ConfigError, "--step belongs to"),
        (["--theme", "arc-drak"], ConfigError, r"did you mean arc-dark\?"),
        (["--output", "no/such/folder/x.html"], RunError, "Cannot write no/such/folder/x.html: No such file"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], error: type[Exception], sentence: str
):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs", [])
    result = CliRunner().invoke(app, ["report", *words])
    assert isinstance(result.exception, error)
    assert re.search(sentence, str(result.exception))
