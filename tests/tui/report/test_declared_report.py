"""The report of a run whose recipe is not built in: its own groups, grids and evidence, nothing else."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from foreign_run import FOREIGN, foreign_events, make_foreign_run
from recordings import make_run

from arc_core.base.errors import ConfigError
from arc_core.run.declared import Declared, GroupKind, Number, NumberGroup
from arc_core.run.directory import RunDirectory
from arc_tui.looks.themes import load_theme
from arc_tui.report.page import page
from arc_tui.report.panels import panels_of, picture, svg_file
from arc_tui.report.record import Record, read_record

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_record(make_foreign_run(tmp_path_factory.mktemp("runs")), NOW)


def html_of(record: Record) -> str:
    return page(record, load_theme("arc-light"), load_theme("arc-dark"), NOW)


def words(html: str) -> str:
    """The text of a page."""
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_data = found.append
    parser.feed(re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL))
    return " ".join(found)


def test_a_picture_is_there_for_each_group_that_is_shown(record: Record):
    assert panels_of(record) == (
        *("loss", "loss_parts", "accuracy", "recursion", "grad_norm", "learning_rate"),
        *("validation", "validation_score", "validation_numbers", "speed", "grids"),
    )
    for name in panels_of(record):
        svg = svg_file(picture(record, name), load_theme("arc-light"), name)
        root = ET.fromstring(svg)
        assert len([part for part in root.iter() if part.tag.endswith(("path", "rect"))]) > 5, name
        assert "nan" not in "".join(part.get("d", "") for part in root.iter())


def test_a_picture_that_the_run_has_not_is_refused_with_those_it_has(record: Record):
    with pytest.raises(ConfigError, match=r"picture: entries.* foreign has loss, loss_parts, .*grids"):
        picture(record, "entries")


def test_the_page_tells_what_the_run_declares_and_no_more(record: Record):
    text = words(html_of(record))
    for told in (
        *("cells right", "steps until halt", "puzzle embedding", "TRM, 2 layers"),
        *(
            "score; 90.00% of cells, step 60",
            "halted early",
            "halting",
            "0.999",
            "Evidence, at the last step",
        ),
        "cross-entropy",
    ):
        assert told in text, told
    for foreign in ("EFE", "Reward", "Memory", "LM gradient", "seven fixes", "Language model", "–/"):
        assert foreign not in text, foreign


def test_the_numbers_of_the_tables_are_those_of_the_events(record: Record):
    text = words(html_of(record))
    last = [line for line in foreign_events() if line["type"] in ("epoch", "validation")][-2:]
    epoch, validation = last
    assert f"{epoch['loss']['total']:.4f}" in text
    assert f"{epoch['accuracy']['cells']:.4f}" in text
    assert f"{validation['score']:.4f}" in text


def test_a_solver_has_no_fix_and_no_reward_in_its_report(tmp_path: Path):
    run = make_run(tmp_path)
    content = run.read()
    run.write(content | {"config": {"recipe": "solver", "epochs": 3}})
    record = read_record(run, NOW)
    assert panels_of(record) == (
        *("loss", "loss_parts", "accuracy", "grad_norm", "learning_rate"),
        *("validation", "speed", "grids"),
    )
    html = html_of(record)
    for word in ("fix", "Reward", "Threshold", "LM Gradient"):
        assert not re.search(rf">[^<]*\b{word}\b", html), word


def test_groups_with_names_of_pictures_and_many_numbers_are_drawn_too(tmp_path: Path):
    numbers = tuple(Number(f"n{place}") for place in range(40))
    groups = (
        NumberGroup("speed", GroupKind.SIGNED, numbers),
        NumberGroup("a/b", GroupKind.COUNTERS, numbers[:2]),
        NumberGroup("a_b", GroupKind.CONTRIBUTIONS, numbers[:1]),
    )
    run = make_foreign_run(tmp_path, [], declared=Declared(groups=groups))
    record = read_record(run, NOW)
    assert panels_of(record) == ("speed_", "a_b", "a_b_", "speed")
    for name in panels_of(record):
        ET.fromstring(svg_file(picture(record, name), load_theme("arc-light"), name))
    assert "no numbers yet" in html_of(record)


def test_a_run_that_has_not_declared_anything_yet_has_a_report(tmp_path: Path):
    run: RunDirectory = make_foreign_run(tmp_path, [], declared=Declared())
    record = read_record(run, NOW)
    assert panels_of(record) == ("speed",)
    assert "no numbers yet" in html_of(record)
    with pytest.raises(ConfigError, match=r"no panel for a picture: grids"):
        picture(record, "grids")


def test_the_grids_of_the_foreign_run_are_its_own(record: Record):
    drawn = picture(record, "grids").content
    places = [drawn.index(f">{form.shown} ") for form in FOREIGN.grids]
    assert places == sorted(places)
    assert "wrong" not in picture(record, "grids", 60).content
    assert 'class="wrong"' in picture(record, "grids", 1).content
