"""`arc-tui inspect dataset` and `inspect task`: tasks as lists, JSON and coloured grids."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from arc_core.dataset_files import Pair, Task
from arc_core.errors import ConfigError
from arc_core.grids import to_rows
from arc_core.text import printable
from arc_tui.inspect import facts
from arc_tui.inspect.grid_text import beside, text_of
from arc_tui.inspect.tasks import (
    SIZE_RULES,
    dataset_facts,
    filtered,
    find_task,
    load,
    task_facts,
    task_json,
)
from arc_tui.inspect.text import aligned
from arc_tui.rows import Row
from arc_tui.run_cli import AsJson
from arc_tui.themes import colourless, load_theme


def dataset(
    source: Annotated[
        str, typer.Argument(metavar="[NAME|PATH]", help="arcagi1, arcagi2, or files as --dataset takes them.")
    ] = "arcagi2",
    split: Annotated[str, typer.Option("--split", help="training or evaluation.")] = "training",
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="RULE", help=f"Only with this size rule: {', '.join(SIZE_RULES)}."),
    ] = None,
    colours: Annotated[
        str, typer.Option("--colours", metavar="DIGITS", help="Only with all of these colours, such as 038.")
    ] = "",
    search: Annotated[
        str, typer.Option("--search", metavar="TEXT", help="Only with this in id or rule.")
    ] = "",
    json: AsJson = False,
) -> None:
    """List the tasks of a dataset with their sizes, colours and rule sentences."""
    if colours and not (colours.isascii() and colours.isdecimal()):
        raise ConfigError("--colours takes digits from 0 to 9, such as 038.")
    tasks = load(source, split)
    shown = filtered(tasks.tasks, size, [int(digit) for digit in colours], search)
    if json:
        typer.echo(facts.to_json(dataset_facts(tasks, shown)))
        return
    rows = [
        (
            printable(found.id, 60),
            str(found.pairs),
            str(found.inputs),
            found.size_rule,
            "".join(map(str, found.colours)),
            str(found.largest),
            printable(found.rule, 200),
        )
        for found in shown
    ]
    head = ("TASK", "PAIRS", "TESTS", "SIZE", "COLOURS", "CELLS", "RULE")
    lines = aligned([head, *rows], left=(0, 3, 4, 6))
    of_all = "" if len(shown) == len(tasks) else f" of {len(tasks):,}"
    lines.append(f"{len(shown):,}{of_all} tasks of {printable(tasks.name, 200)}")
    typer.echo("\n".join([*(f"Skipped: {printable(reason, 300)}" for reason in tasks.skipped), *lines]))


def task(
    identity: Annotated[str, typer.Argument(metavar="ID", help="A task's id, the start of it, or its file.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="NAME|PATH", help="Where to look; all that are shipped if left out."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Show a task as grids, with its features and its rule sentence."""
    found, name = find_task(identity, source)
    if json:
        typer.echo(facts.to_json(task_json(found, name)))
        return
    theme = load_theme().without_colour() if colourless() else load_theme()
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    for row in task_rows(found, name):
        console.print(text_of(row, theme), soft_wrap=True)


def task_rows(task: Task, dataset_name: str) -> list[Row]:
    """Draw a task: its id, rule, features, and every pair as grids."""
    known = task_facts(task)
    values = "  ".join(f"{feature} {value:.3g}" for feature, value in known.features.items())
    rows: list[Row] = [
        [(printable(task.id, 100), "title"), (f" of {printable(dataset_name, 200)}", "")],
        [("Rule: ", "muted"), (printable(known.rule, 300), "")],
        [("Size rule: ", "muted"), (f"{known.size_rule}; colours {''.join(map(str, known.colours))}", "")],
        [("Features: ", "muted"), (values, "")],
    ]
    for title, pairs in (("Demonstration", task.train), ("Test", task.test)):
        for number, pair in enumerate(pairs):
            rows += [[], *_pair(f"{title} {number}", pair)]
    return rows


def _pair(title: str, pair: Pair) -> list[Row]:
    height, width = pair.input.shape
    blocks = [(f"{title}: input {height}x{width}", to_rows(pair.input))]
    if pair.output is None:
        blocks.append(("output not known", []))
    else:
        blocks.append(("output {}x{}".format(*pair.output.shape), to_rows(pair.output)))
    return beside(blocks)
