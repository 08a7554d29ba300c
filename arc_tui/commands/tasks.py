"""`arc-tui inspect dataset` and `inspect task`: tasks as lists, JSON and coloured grids."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable
from arc_tui.commands.completion import task_ids
from arc_tui.commands.output import echo, echo_error
from arc_tui.commands.runs import AsJson, SkipBadTasks
from arc_tui.results.size_rules import SIZE_RULES


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
    skip_bad_tasks: SkipBadTasks = False,
    json: AsJson = False,
) -> None:
    """List a dataset's tasks with sizes, colours and rule sentences."""
    if colours and not (colours.isascii() and colours.isdecimal()):
        raise ConfigError("--colours takes digits from 0 to 9, such as 038.")
    from arc_tui.inspect import facts  # here, so that other commands need not wait for numpy
    from arc_tui.results.dataset import dataset_facts, dataset_lines, filtered, load

    tasks = load(source, split, skip_bad_tasks=skip_bad_tasks)
    shown = filtered(tasks.tasks, size, [int(digit) for digit in colours], search)
    echo(facts.to_json(dataset_facts(tasks, shown)) if json else "\n".join(dataset_lines(tasks, shown)))


def task(
    identity: Annotated[
        str,
        typer.Argument(
            metavar="ID", autocompletion=task_ids, help="A task's id, the start of it, or its file."
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option("--dataset", metavar="NAME|PATH", help="Where to look; arcagi1, then arcagi2."),
    ] = None,
    skip_bad_tasks: SkipBadTasks = False,
    json: AsJson = False,
) -> None:
    """Show a task as grids, with features and rule sentence. Of a file with several it shows a list."""
    from rich.console import Console

    from arc_core.data.finding import find_task, load_file
    from arc_tui.drawing.text import text_of
    from arc_tui.inspect import facts
    from arc_tui.looks.themes import colourless, load_theme
    from arc_tui.results.dataset import dataset_facts, dataset_lines, filtered, task_json, task_rows

    file = load_file(identity, skip_bad_tasks=skip_bad_tasks) if source is None else None
    if file is not None and len(file) > 1:
        shown = filtered(file.tasks)
        echo(facts.to_json(dataset_facts(file, shown)) if json else "\n".join(dataset_lines(file, shown)))
        echo_error(
            f"{printable(identity)} holds {len(file):,} tasks; to see one: "
            f"arc-tui inspect task ID --dataset {printable(identity)}"
        )
        return
    found = find_task(identity, source, skip_bad_tasks=skip_bad_tasks, show=echo_error)
    if json:
        echo(facts.to_json(task_json(found.task, found.place)))
        return
    theme = load_theme().without_colour() if colourless() else load_theme()
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    for row in task_rows(found.task, found.place):
        console.print(text_of(row, theme), soft_wrap=True)
