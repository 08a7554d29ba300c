"""The page about several runs: its lines are means of the runs', its table tells what sets them apart."""

import math
import re
import statistics
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from foreign_run import make_foreign_run
from hostile import hostile_run, hostile_texts
from recordings import make_run
from sweep_runs import LOSS, RATES, SEEDS, STEPS, cells_of, loss_of, make_sweep

from arc_core.base.errors import ConfigError
from arc_core.run.directory import RunDirectory
from arc_tui import cli
from arc_tui.looks.themes import load_theme
from arc_tui.report.comparison import MOST_COLUMNS, Comparison, charts_of, picture, read_comparison
from arc_tui.report.comparison_page import MOST_CHARTS, page
from arc_tui.report.curves import WIDTH, fits_legend
from arc_tui.report.panels import svg_file

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunDirectory]:
    return make_sweep(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def comparison(runs: list[RunDirectory]) -> Comparison:
    return read_comparison(runs, NOW)


def html_of(comparison: Comparison) -> str:
    return page(comparison, load_theme("arc-light"), load_theme("arc-dark"), NOW)


class Page(HTMLParser):
    """A page's tags, and its table as rows of texts."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("th", "td")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data

    def row(self, head: str) -> list[str]:
        return next(row[1:] for row in self.rows if row[0] == head)


def test_line_and_range_of_validations_are_those_of_the_seeds(comparison: Comparison):
    chart = charts_of(comparison)["validation.cell_accuracy"].lines()
    assert len(chart.curves) == 2
    for curve, rate in zip(chart.curves, RATES, strict=True):
        assert curve.steps.tolist() == [20, 40, 60]
        for at, step in enumerate((20, 40, 60)):
            cells = [cells_of(rate, seed, step) for seed in SEEDS]
            assert curve.mean[at] == pytest.approx(statistics.fmean(cells))
            assert (curve.low[at], curve.high[at]) == (min(cells), max(cells))


def test_line_of_steps_is_the_mean_of_the_lines_of_each_run(comparison: Comparison):
    chart = charts_of(comparison)[LOSS].lines()
    for curve, rate in zip(chart.curves, RATES, strict=True):
        assert len(curve.steps) == STEPS
        lines = [_smoothed([loss_of(rate, seed, step) for step in range(1, STEPS + 1)]) for seed in SEEDS]
        for at, values in enumerate(zip(*lines, strict=True)):
            assert curve.mean[at] == pytest.approx(statistics.fmean(values), rel=2e-3)
            assert curve.low[at] == pytest.approx(min(values), rel=2e-3)
            assert curve.high[at] == pytest.approx(max(values), rel=2e-3)


def _smoothed(values: list[float], half_life: float = 2.0) -> list[float]:
    """The average that weighs a value half as much after every half-life; ours forgets after ten."""
    decay, total, weight = 0.5 ** (1 / half_life), 0.0, 0.0
    found: list[float] = []
    for value in values:
        total, weight = total * decay + value, weight * decay + 1
        found.append(total / weight)
    return found


def test_runs_that_validated_at_other_steps_are_told_between_them(tmp_path: Path):
    runs = make_sweep(tmp_path, rates=RATES[:1], seeds=SEEDS[:2])
    text = runs[1].events.read_text()
    kept = [line for line in text.splitlines() if not ('"validation"' in line and '"step":40' in line)]
    runs[1].events.write_text("\n".join(kept) + "\n")
    [curve] = charts_of(read_comparison(runs, NOW))["validation.cell_accuracy"].lines().curves
    between = (cells_of(RATES[0], 43, 20) + cells_of(RATES[0], 43, 60)) / 2
    assert curve.mean[1] == pytest.approx((cells_of(RATES[0], 42, 40) + between) / 2)


def test_groups_stand_beside_each_other_with_what_they_differ_in(comparison: Comparison):
    found = Page(html_of(comparison))
    assert found.rows[0] == ["", "A lr-1, lr-2, lr-3", "B lr-4, lr-5, lr-6"]
    assert found.row("Runs") == ["3 seeds", "3 seeds"]
    assert found.row("agent_lr") == ["0.0001", "0.0003"]
    assert found.row("Steps") == ["60", "60"]
    cells = [[cells_of(rate, seed, STEPS) for seed in SEEDS] for rate in RATES]
    told = [f"{statistics.fmean(of):.4f} ({min(of):.4f} – {max(of):.4f}) of cells" for of in cells]
    assert [text.split(", ")[1] for text in found.row("Best validation")] == told
    losses = [[loss_of(rate, seed, STEPS) for seed in SEEDS] for rate in RATES]
    told = [f"{statistics.fmean(of):.4g} ({min(of):.4g} – {max(of):.4g})" for of in losses]
    assert found.row(f"{LOSS}, last step") == told
    assert [row[0] for row in found.rows if row[0] in ("seed", "name", "hidden_dim")] == []


def test_more_than_four_stand_below_each_other(tmp_path: Path):
    runs = make_sweep(tmp_path, rates=(1e-4, 2e-4, 3e-4, 4e-4, 5e-4), seeds=(1,), steps=20)
    found = Page(html_of(read_comparison(runs, NOW)))
    assert found.rows[0][-1] == "agent_lr"
    assert "Runs" not in found.rows[0]
    assert [(row[0], row[-1]) for row in found.rows[1:]] == [
        (f"{letter} lr-{at}", str(at / 10_000)) for at, letter in enumerate("ABCDE", start=1)
    ]


def test_page_runs_nothing_loads_nothing_and_its_links_lead_to_what_is_there(comparison: Comparison):
    html = html_of(comparison)
    tags = Page(html).tags
    assert {"script", "iframe", "img", "object", "embed", "base", "form", "link"} & {
        tag for tag, _ in tags
    } == set()
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert "url(" not in html
    places = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(places) == len(set(places))
    links = [attributes["href"] or "" for tag, attributes in tags if tag == "a"]
    assert len(links) == 2 + len(charts_of(comparison))
    assert {link.removeprefix("#") for link in links} <= {*places}


def test_every_line_differs_in_dashes_and_has_its_letter(tmp_path: Path):
    runs = make_sweep(tmp_path, rates=[1e-4 * n for n in range(1, 13)], seeds=(1,), steps=20)
    svg = svg_file(picture(read_comparison(runs, NOW), LOSS), load_theme("arc-light"), "loss")
    looks = re.findall(r'class="curve (line-\d(?: dash-\d)?)"', svg)
    assert len({*looks[: len(runs)]}) == 12
    dashes = [look.partition(" ")[2] for look in looks[:8]]
    assert len({*dashes}) == 8, "without colour too"
    root = ET.fromstring(svg)
    signs = [part.text for part in root.iter() if part.get("class") == "sign"]
    assert signs == [*"ABCDEFGHIJKL"]


def test_legend_has_letters_alone_where_names_do_not_fit(tmp_path: Path):
    assert fits_legend(["A lr-1"] * 5)
    assert not fits_legend(["A lr-1"] * 12)
    runs = make_sweep(tmp_path, rates=[1e-4 * n for n in range(1, 13)], seeds=(1,), steps=20)
    chart = charts_of(read_comparison(runs, NOW))[LOSS].lines()
    assert [curve.name for curve in chart.curves] == [*"ABCDEFGHIJKL"]


def test_long_runs_are_drawn_with_few_points(tmp_path: Path):
    runs = make_sweep(tmp_path, rates=RATES[:1], seeds=SEEDS[:2], steps=MOST_COLUMNS + 100)
    [curve] = charts_of(read_comparison(runs, NOW))[LOSS].lines().curves
    assert len(curve.steps) == MOST_COLUMNS


def test_hostile_texts_stay_texts(tmp_path: Path):
    texts = hostile_texts()
    runs = [hostile_run(tmp_path, texts[25 * at :], f"run{at}") for at in range(3)]
    for at, run in enumerate(runs):
        content = run.read()
        content["config"] |= dict.fromkeys(texts[:20], texts[at])
        run.write(content)
    comparison = read_comparison(runs, NOW)
    html = html_of(comparison)
    assert [tag for tag, _ in Page(html).tags if tag == "script"] == []
    assert not set(html) & {chr(code) for code in [*range(9), *range(11, 32), 127, 0x202E]}
    for name in charts_of(comparison):
        ET.fromstring(svg_file(picture(comparison, name), load_theme("arc-light"), texts[0]))


def test_runs_of_two_recipes_share_the_charts_of_what_both_have(tmp_path: Path):
    runs = [make_run(tmp_path, name="ours"), make_foreign_run(tmp_path)]
    comparison = read_comparison(runs, NOW)
    charts = charts_of(comparison)
    assert {"loss.total", "loss.combined", "accuracy.exact"} < {*charts}
    both, one = charts["accuracy.exact"].lines(), charts["loss.total"].lines()
    assert [bool(math.isfinite(curve.mean[-1])) for curve in both.curves] == [True, True]
    assert [bool(math.isfinite(curve.mean[-1])) for curve in one.curves] == [False, True]


def test_runs_without_a_step_or_a_validation_are_said_to_have_none(tmp_path: Path):
    runs = [make_run(tmp_path, [], "empty"), make_run(tmp_path, [], "void")]
    html = html_of(read_comparison(runs, NOW))
    assert "No run has a step yet." in html
    assert Page(html).row("Best validation") == ["none yet"]
    assert "Their options are the same." in html
    assert picture_refusal(read_comparison(runs, NOW), LOSS).endswith("There are none yet.")


def picture_refusal(comparison: Comparison, name: str) -> str:
    with pytest.raises(ConfigError) as refused:
        picture(comparison, name)
    return str(refused.value)


def test_unknown_chart_names_the_nearest_and_all(comparison: Comparison):
    told = picture_refusal(comparison, "loss.combine")
    assert told.startswith("There is no chart of these runs: loss.combine; did you mean loss.combined?")
    assert "validation.cell_accuracy, " in told


def test_a_page_leaves_out_charts_beyond_sixty_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("arc_tui.report.comparison_page.MOST_CHARTS", 3)
    comparison = read_comparison(make_sweep(tmp_path, steps=20), NOW)
    html = html_of(comparison)
    assert html.count("<figure") == 3
    assert f"{len(charts_of(comparison)) - 3} more numbers are left out" in html
    assert MOST_CHARTS == 60


# The command


def report(runs: list[RunDirectory], *words: str) -> int:
    """Run the command in the folder of the runs; returns its exit code."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", *words, "--runs-dir", str(runs[0].path.parent)])
    return int(ended.value.code or 0)


def test_command_writes_one_page_of_several_runs(
    runs: list[RunDirectory],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert report(runs, *(run.name for run in runs)) == 0
    assert capsys.readouterr().out == "comparison.html\n"
    assert "6 runs compared" in Path("comparison.html").read_text(encoding="utf-8")
    assert report(runs, "lr-1", "lr-4", "--svg", LOSS) == 0
    assert capsys.readouterr().out == f"comparison-{LOSS}.svg\n"
    root = ET.parse(f"comparison-{LOSS}.svg").getroot()
    assert float(root.get("width", 0)) == WIDTH


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lr-1", "lr-2", "lr-1"], "A run is compared with others, not with itself: lr-1 is given twice."),
        (["lr-1", "gone"], "There is no run gone in"),
        (["lr-1", "lr-2", "--svg", "grids"], "There is no chart of these runs: grids"),
        (["lr-1", "lr-2", "--svg", LOSS, "--step", "3"], "--step belongs to the grids of one run."),
        (["lr-1", "lr-2", "--step", "3"], "--step belongs to --svg grids or --png grids."),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    words: list[str], told: str, runs: list[RunDirectory], capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert report(runs, *words, "-o", str(tmp_path / "x")) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_one_run_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    runs = make_sweep(tmp_path, steps=20)
    runs[2].run_json.write_text("[]")
    assert report(runs, "lr-1", "lr-3", "-o", str(tmp_path / "x")) == 2
    assert "lr-3" in capsys.readouterr().err
