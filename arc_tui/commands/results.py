"""`arc-tui inspect results`: an evaluation, or two, in a browser or as text and JSON."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.paths import refusal
from arc_core.base.text import full_name, printable
from arc_tui.commands.options import EVALS_DIR, AsJson, EvalsDir, Plain, Theme
from arc_tui.commands.output import echo_error, echo_facts, echo_json, print_rows
from arc_tui.runs.starting import has_terminal

if TYPE_CHECKING:
    from arc_tui.results.choice import Chosen
    from arc_tui.results.evaluations import EvalResults
    from arc_tui.results.pair import ResultsPair


def results(
    evaluations: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EVAL [OTHER]]",
            help="A name or the start of it, a folder, or latest; two are compared. Lists all if left out.",
        ),
    ] = None,
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
    theme: Theme = None,
    evals_dir: EvalsDir = EVALS_DIR,
) -> None:
    """Browse what one evaluation has solved, or two side by side."""
    # Here, so that other commands need not wait for numpy.
    from arc_core.evaluation.folder import find_eval
    from arc_tui.results import evaluations as files
    from arc_tui.results.choice import EVERYTHING, SORTS, Chosen, checked
    from arc_tui.results.pair import PairOutcome, ResultsPair

    names = evaluations or []
    if len(names) > 2:
        raise ConfigError("Name one evaluation, or two to compare them.")
    if task is not None and len(names) != 1:
        raise ConfigError("--task goes with one evaluation.")
    checked("--only", only, [EVERYTHING, *(PairOutcome if len(names) == 2 else files.State)])
    checked("--sort", order, [*SORTS])
    choice = Chosen(only=only, size=size, order=order, reverse=reverse)
    opened = [files.open_results(find_eval(name, evals_dir)) for name in names]
    pair = ResultsPair(*opened) if len(opened) == 2 else None
    if task is not None:
        _show_task(opened[0], task, json=json)
    elif json or plain or not has_terminal():
        if pair is not None:
            _show_pair(pair, choice, json=json)
        elif opened:
            _show_results(opened[0], choice, json=json)
        else:
            _show_evals(evals_dir, json=json)
    else:
        from arc_tui.results.app import browse

        raise typer.Exit(browse(opened, evals_dir, choice, theme, echo_error))


def _show_evals(evals_dir: Path, *, json: bool) -> None:
    from arc_tui.results.evaluations import list_evals
    from arc_tui.results.facts import eval_facts
    from arc_tui.results.text import eval_lines

    found = list_evals(evals_dir)
    if not found and (reason := refusal(evals_dir)):
        raise RunError(f"{printable(str(evals_dir))} cannot be looked at: {reason}.")
    echo_facts(json, lambda: list(map(eval_facts, found)), lambda: eval_lines(found, str(evals_dir)))


def _show_results(opened: EvalResults, choice: Chosen, *, json: bool) -> None:
    from arc_tui.results.choice import chosen_tasks, size_rules
    from arc_tui.results.facts import results_facts
    from arc_tui.results.text import results_lines

    _check_size(choice.size, size_rules(opened.tasks))
    shown = chosen_tasks(opened.tasks, choice)
    echo_facts(json, lambda: results_facts(opened, shown), lambda: results_lines(opened, shown))


def _show_pair(pair: ResultsPair, choice: Chosen, *, json: bool) -> None:
    from arc_tui.results.choice import chosen_tasks, size_rules
    from arc_tui.results.facts import pair_facts
    from arc_tui.results.text import pair_lines

    _check_size(choice.size, size_rules([*pair.first.tasks, *pair.second.tasks]))
    shown = chosen_tasks(pair.tasks, choice)
    echo_facts(json, lambda: pair_facts(pair, shown), lambda: pair_lines(pair, shown))


def _check_size(size: str, there: Sequence[str]) -> None:
    from arc_tui.results.choice import EVERYTHING, checked

    checked("--size", size, [EVERYTHING, *there])


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
