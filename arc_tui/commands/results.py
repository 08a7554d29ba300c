"""`arc-tui inspect results`: an evaluation, or several, in a browser or as text and JSON."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, cast

import typer

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.paths import refusal
from arc_core.base.text import full_name, printable
from arc_tui.commands.options import EVALS_DIR, AsJson, EvalsDir, Plain, ReadOnly, SplitName, Theme
from arc_tui.commands.output import echo_error, echo_facts, echo_json, has_terminal, print_rows

if TYPE_CHECKING:
    from arc_core.data.tasks import Split
    from arc_tui.results.evaluations import EvalResults


def results(
    evaluations: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EVAL]",
            help="A name or the start of it, a folder, latest, or answers of others as score takes them; "
            "several are compared, two in the browser. Lists all if left out.",
        ),
    ] = None,
    dataset: Annotated[
        str, typer.Option("--dataset", metavar="NAME|PATH", help="What answers of others are held against.")
    ] = "arcagi1",
    split: SplitName = "evaluation",
    only: Annotated[
        str,
        typer.Option(
            "--only",
            metavar="WHAT",
            help="solved, failed, pending, unknown, damaged; of two: first, second, both, neither, open.",
        ),
    ] = "all",
    size: Annotated[str, typer.Option("--size", metavar="RULE", help="Only with this size rule.")] = "all",
    order: Annotated[
        str, typer.Option("--sort", metavar="id|confidence|cells", help="The order of the tasks.")
    ] = "id",
    reverse: Annotated[bool, typer.Option("--reverse", help="Turn the order round.")] = False,
    task: Annotated[
        str | None, typer.Option("--task", metavar="ID", help="One task of one evaluation, with its grids.")
    ] = None,
    json: AsJson = False,
    plain: Plain = False,
    read_only: ReadOnly = False,
    theme: Theme = None,
    evals_dir: EvalsDir = EVALS_DIR,
) -> None:
    """Browse what one evaluation has solved, or several side by side."""
    # Here, so that completion need not wait for numpy.
    from arc_tui.results import facts, text
    from arc_tui.results.choice import EVERYTHING, SORTS, Chosen, checked, chosen_tasks, size_rules
    from arc_tui.results.evaluations import State, list_evals, open_any
    from arc_tui.results.pair import PairOutcome, ResultsPair
    from arc_tui.results.scores import names_of

    names = evaluations or []
    if task is not None and len(names) != 1:
        raise ConfigError("--task goes with one evaluation.")
    checked("--only", only, [EVERYTHING, *(PairOutcome if len(names) == 2 else State)])
    checked("--sort", order, [*SORTS])
    choice = Chosen(only=only, size=size, order=order, reverse=reverse)
    if len(names) > 2 and choice != Chosen():
        raise ConfigError(
            "--only, --size, --sort and --reverse choose among tasks, which one evaluation or two have."
        )
    opened = [open_any(name, evals_dir, dataset, cast("Split", split)) for name in names]
    titles = names_of([one.folder.path for one in opened])
    opened = [replace(one, title=title) for one, title in zip(opened, titles, strict=True)]
    if task is not None:
        _show_task(opened[0], task, json=json)
        return
    if len(opened) > 2:
        echo_facts(json, lambda: facts.several_facts(opened), lambda: text.several_lines(opened))
        return
    if not (json or plain) and has_terminal():
        from arc_tui.results.app import browse

        raise typer.Exit(browse(opened, evals_dir, choice, theme, echo_error, read_only=read_only))
    if not opened:
        found = list_evals(evals_dir)
        if not found and (reason := refusal(evals_dir)):
            raise RunError(f"{printable(str(evals_dir))} cannot be looked at: {reason}.")
        echo_facts(
            json,
            lambda: [facts.eval_facts(one) for one in found],
            lambda: text.eval_lines(found, str(evals_dir)),
        )
        return
    checked("--size", size, [EVERYTHING, *size_rules([one for each in opened for one in each.tasks])])
    if len(opened) == 2:
        pair = ResultsPair(*opened)
        both = chosen_tasks(pair.tasks, choice)
        echo_facts(json, lambda: facts.pair_facts(pair, both), lambda: text.pair_lines(pair, both))
    else:
        [one], shown = opened, chosen_tasks(opened[0].tasks, choice)
        echo_facts(json, lambda: facts.results_facts(one, shown), lambda: text.results_lines(one, shown))


def _show_task(opened: EvalResults, task: str, *, json: bool) -> None:
    from arc_tui.results.facts import task_result_facts
    from arc_tui.results.text import task_result_rows

    full = full_name(task, [one.id for one in opened.tasks], "tasks", ConfigError)
    found = next((one for one in opened.tasks if one.id == full), None)
    if found is None:
        raise ConfigError(f"{opened.name} does not ask task {printable(task, 60)}.")
    if json:
        echo_json(task_result_facts(found))
    else:
        print_rows(task_result_rows(found, shutil.get_terminal_size().columns))
