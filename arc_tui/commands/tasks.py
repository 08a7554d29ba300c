"""`arc-tui inspect dataset` and `inspect task`: tasks as lists, JSON and coloured grids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable
from arc_tui.commands.options import AsJson, Groups, Pairs, SkipBadTasks, SplitName, TaskName, TaskSource
from arc_tui.commands.output import echo_error, echo_facts, echo_json, print_rows
from arc_tui.results.size_rules import SIZE_RULES

if TYPE_CHECKING:
    from arc_core.data.tasks import Split


def dataset(
    source: Annotated[
        str, typer.Argument(metavar="[NAME|PATH]", help="arcagi1, arcagi2, or files as --dataset takes them.")
    ] = "arcagi2",
    split: SplitName = "training",
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
    groups: Groups = None,
    pairs: Pairs = 10,
    skip_bad_tasks: SkipBadTasks = False,
    json: AsJson = False,
) -> None:
    """List a dataset's tasks with sizes, colours and rule sentences."""
    if colours and not (colours.isascii() and colours.isdecimal()):
        raise ConfigError("--colours takes digits from 0 to 9, such as 038.")
    # Here, so that completion need not wait for numpy.
    from arc_core.data.generated import is_generated, load_generated
    from arc_core.data.task_folder import parts_of
    from arc_core.data.tasks import load_tasks
    from arc_tui.results.dataset import dataset_facts, dataset_lines, filtered

    if is_generated(source):
        tasks = load_generated(source, pairs)
    else:
        tasks = load_tasks(
            source, cast("Split", split), skip_bad_tasks=skip_bad_tasks, groups=parts_of(groups)
        )
    shown = filtered(tasks.tasks, size, [int(digit) for digit in colours], search)
    echo_facts(json, lambda: dataset_facts(tasks, shown), lambda: dataset_lines(tasks, shown))


def task(
    identity: TaskName,
    source: TaskSource = None,
    pairs: Pairs = 10,
    skip_bad_tasks: SkipBadTasks = False,
    json: AsJson = False,
) -> None:
    """Show a task as grids, with features and rule sentence. Of a file with several it shows a list."""
    from arc_core.data.finding import find_task, load_file
    from arc_tui.results.dataset import dataset_facts, dataset_lines, filtered, task_json, task_rows

    file = load_file(identity, skip_bad_tasks=skip_bad_tasks, pairs=pairs) if source is None else None
    if file is not None and len(file) > 1:
        shown = filtered(file.tasks)
        echo_facts(json, lambda: dataset_facts(file, shown), lambda: dataset_lines(file, shown))
        echo_error(
            f"{printable(identity)} holds {len(file):,} tasks; to see one: "
            f"arc-tui inspect task ID --dataset {printable(identity)}"
        )
        return
    found = find_task(identity, source, skip_bad_tasks=skip_bad_tasks, pairs=pairs, show=echo_error)
    if json:
        echo_json(task_json(found.task, found.place))
    else:
        print_rows(task_rows(found.task, found.place))
