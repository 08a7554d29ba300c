"""Signs that a stream cannot show, and names of wide letters: columns stay columns."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from eval_files import make_eval
from rich.cells import cell_len

import arc_tui
from arc_tui import cli
from arc_tui.commands.output import echo, open_streams
from arc_tui.commands.runs import table
from arc_tui.drawing.rows import padded, plain, sized, width
from arc_tui.drawing.signs import shown
from arc_tui.drawing.text import aligned
from arc_tui.inspect.browser_rows import bytes_bar, tail
from arc_tui.inspect.tensors.tree import Node
from arc_tui.results.evaluations import list_evals
from arc_tui.results.rows import eval_row
from arc_tui.runs.listing import Row

NAMES = ["demo", "実験", "étude", "e\u0301tude", "🚀", "ﬁn"]
"""As wide as they are long, twice as wide, one, narrower, twice, and one."""


def stream_of(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def own_signs() -> set[str]:
    """Every sign in a text that the sources hold, docstrings aside."""
    found: set[str] = set()
    for path in Path(arc_tui.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
                found |= {sign for sign in node.value if not sign.isascii()}
    return found


def test_every_sign_of_ours_has_an_ascii_one_of_the_same_width():
    signs = own_signs()
    assert {"◆", "●", "━", "…", "→", "×", "✓"} <= signs
    for sign in sorted(signs | {"⠿", "┌"}):
        assert (len(shown(sign, stream_of("ascii"))), cell_len(sign)) == (1, 1), sign


def test_only_what_an_encoding_lacks_is_replaced(monkeypatch: pytest.MonkeyPatch):
    text = "◆ ● ━ … → × ✓ ⠿│é 実"
    assert shown(text, stream_of("utf-8")) == text
    assert shown(text, stream_of("ascii")) == r"* * = ~ > x v :|\xe9 \u5b9f"
    assert shown(text, stream_of("latin-1")) == r"* * = ~ > × v :|é \u5b9f"
    stream = stream_of("latin-1")
    monkeypatch.setattr(sys, "stdout", stream)
    open_streams()
    echo(text)
    assert stream.buffer.getvalue() == "* * = ~ > × v :|é \\u5b9f\n".encode("latin-1")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_columns_begin_in_the_same_cell_whatever_the_names(encoding: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdout", stream_of(encoding))
    for lines, second in (
        (table([Row(name, "running", step=7) for name in NAMES]), "running"),
        (aligned([(name, "running") for name in NAMES], left=(0, 1)), "running"),
    ):
        ends = {cell_len(line[: line.index(second)]) for line in lines if second in line}
        assert len(ends) == 1
        assert all(shown(line) == line for line in lines)


def test_widths_are_counted_in_cells():
    assert [padded(name, 6) for name in NAMES[:2]] == ["demo  ", "実験  "]
    assert padded("実験", 6, left=False) == "  実験"
    assert padded("実験", 3) == "実験", "never cut"
    assert [sized("実験室", cells) for cells in (7, 6, 4, 3)] == ["実験室 ", "実験室", "実験", "実 "]
    assert sized("実験", 5, left=False) == " 実験"
    assert [tail("model.実験", cells) for cells in (10, 9, 5, 4, 1)] == [
        "model.実験",
        "…del.実験",
        "…実験",
        "…験",
        "…",
    ]
    assert {width(row) for row in bytes_bar([Node("実験" * 4, "", 1, 3, 12, None, (), 0, 1)], 60)[:1]} == {60}


def test_row_of_an_evaluation_is_as_wide_as_any(tmp_path: Path):
    rows = []
    for name in ("first", "実験"):
        make_eval(tmp_path / "evals", name)
    for one in list_evals(tmp_path / "evals"):
        row = plain(eval_row(one, 100, marked=False))
        rows.append(cell_len(row[: row.index("6/7")]))
    assert len(rows) == 2
    assert len(set(rows)) == 1


def test_ascii_locale_shows_the_same_columns(tmp_path: Path):
    make_eval(tmp_path / "evals")
    words = ["inspect", "results", "first", "--task", "0ca9ddb6", "--evals-dir", "evals"]
    told = {}
    for encoding in ("utf-8", "ascii"):
        variables = {"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding, "LC_ALL": "C", "COLUMNS": "100"}
        done = subprocess.run(
            [sys.executable, "-m", cli.__name__, *words],
            cwd=tmp_path,
            env=os.environ | variables,
            capture_output=True,
            check=True,
        )
        told[encoding] = done.stdout.decode("utf-8")
    assert "✓" in told["utf-8"]
    assert told["ascii"].isascii()
    assert "\\u" not in told["ascii"]
    widths = [[cell_len(line) for line in text.splitlines()] for text in told.values()]
    assert widths[0] == widths[1]
