"""The arguments and flags that several commands take, each once; and those that the configuration gives."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from arc_core.base.errors import ConfigError
from arc_core.base.options import Setting, canonical
from arc_core.base.paths import expanded
from arc_core.base.text import printable
from arc_core.run.config import NOT_QUEUED, TrainConfig
from arc_core.run.recipes import built_in_settings, owners_of
from arc_tui.commands.completion import (
    choices_of,
    run_names,
    solver_settings,
    task_ids,
    theme_names,
    train_settings,
)

FLAGS = (
    *("epochs", "agent_lr", "qwen_lr", "device", "processes", "seed", "max_batches", "batch_size"),
    *("max_minutes", "patience"),
    *("dataset", "solutions", "extra_data", "skip_bad_tasks", "augment", "lm", "lm_train"),
    *("validate_on", "checkpoint_every", "recipe", "preset", "name", "runs_dir", "headless", "detach"),
    *("prepare", "mirror", "resume", "checkpoint", "branch"),
)
"""Options with a flag of their own; every other is given by --set key=value or in the config file."""

_METAVARS: dict[type, str] = {int: "N", float: "RATE", str: "TEXT"}
_OWN_METAVARS = {
    "max_minutes": "MINUTES",
    "recipe": "NAME",
    "resume": "RUN|latest",
    "mirror": "TRACKER",
    "checkpoint": "ID",
    "branch": "NAME",
    "runs_dir": "FOLDER",
    "device": "auto|cpu|cuda[:N]",
    "processes": "N|auto",
}


def one_of(flag: str, allowed: Iterable[str], help: str) -> Any:  # noqa: A002 - Typer's word
    """Return a flag that takes one of a few words, and refuses others in our sentence."""
    words = tuple(allowed)

    def check(name: str) -> str:
        if name not in words:
            raise ConfigError(f'{flag} is "{printable(name, 40)}", but must be {" or ".join(words)}.')
        return name

    return typer.Option(flag, metavar="|".join(words), parser=check, help=help)


Run = Annotated[
    str,
    typer.Argument(
        metavar="[RUN]",
        autocompletion=run_names,
        help="A run's name, or the start of it; the newest if left out.",
    ),
]
NamedRun = Annotated[
    str, typer.Argument(metavar="RUN", autocompletion=run_names, help="A run's name, or the start of it.")
]
RunsDir = Annotated[
    Path,
    typer.Option("--runs-dir", metavar="FOLDER", parser=expanded, help="The folder that holds the runs."),
]
EvalsDir = Annotated[
    Path,
    typer.Option(
        "--evals-dir", metavar="FOLDER", parser=expanded, help="The folder that holds the evaluations."
    ),
]
RUNS_DIR, EVALS_DIR = Path(TrainConfig().runs_dir), Path("evals")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ReadOnly = Annotated[
    bool,
    typer.Option("--read-only", help="Only look: no key asks anything of a run or writes a file."),
]
Plain = Annotated[bool, typer.Option("--plain", help="Print text even where the output is a terminal.")]
Theme = Annotated[
    str | None,
    typer.Option(
        "--theme",
        metavar="NAME",
        autocompletion=theme_names,
        help="Theme of the screen; `arc-tui themes` lists them.",
    ),
]
AlertTo = Annotated[
    str | None,
    typer.Option(
        "--alert",
        metavar="URL|env:NAME|file:PATH",
        help="Post finish, crash, stall, new best and lasting warnings there, also once this has ended.",
    ),
]
TaskName = Annotated[
    str,
    typer.Argument(
        metavar="TASK", autocompletion=task_ids, help="A task's id, the start of it, or its file."
    ),
]
TaskSource = Annotated[
    str | None, typer.Option("--dataset", metavar="TEXT", help="Where to look; arcagi1, then arcagi2.")
]
SplitName = Annotated[str, one_of("--split", ("training", "evaluation"), "Split of the dataset.")]
SkipBadTasks = Annotated[
    bool,
    typer.Option("--skip-bad-tasks", help="Go on without the tasks that cannot be read, and list them."),
]
Groups = Annotated[
    str | None,
    typer.Option(
        "--groups", metavar="NAMES", help="Only what lies in folders of these names, with commas between."
    ),
]
Pairs = Annotated[
    int, typer.Option("--pairs", metavar="N", min=2, max=10_000, help="Of a task's generated pairs so many.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Seed.")]


def _solving_device(name: str) -> str:
    if name not in ("cpu", "cuda") and not re.fullmatch(r"cuda:\d{1,3}", name):
        raise ConfigError(f'--device is "{printable(name, 40)}", but must be cpu or cuda, or cuda:N.')
    return name


Device = Annotated[
    str | None,
    typer.Option("--device", metavar="cpu|cuda[:N]", parser=_solving_device, help="Where to compute."),
]
SolverSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        autocompletion=solver_settings,
        help="A setting of what solves; may be repeated.",
    ),
]
SECONDS_PER_TASK = 45.0


def assigned(pairs: Iterable[str] | None, what: str = "--set") -> dict[str, str]:
    """Read KEY=VALUE pairs, each key in its one spelling.

    Args:
        pairs: As they were typed.
        what: What takes them, for the refusal.

    Raises:
        ConfigError: If one is no KEY=VALUE, or a key is given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs or ():
        key, separator, value = pair.partition("=")
        if not separator:
            raise ConfigError(f"{what} takes key=value, not {printable(pair, 60)}.")
        name = canonical(key.strip())
        if name in found:
            raise _given_twice(name)
        found[name] = value.strip()
    return found


def _given_twice(name: str) -> ConfigError:
    return ConfigError(f"{printable(name, 60)} is given twice on the command line.")


@dataclasses.dataclass(frozen=True)
class Given:
    """What stood on the command line: options by name, the config file, and what is no option of the run."""

    flags: Mapping[str, object]
    file: Path | None
    theme: str | None = None
    alert: str | None = None
    grid: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    seeds: int | None = None


Grid = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        metavar="KEY=V1,V2",
        autocompletion=train_settings,
        help="One run for each value; several make one for each combination.",
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option("--seeds", metavar="N", min=1, max=1000, help="Each so often, from --seed upwards."),
]


def takes_options(
    *, trains: bool = False, sweeps: bool = False
) -> Callable[[Callable[[Given], None]], Callable[..., None]]:
    """Give a command the flags of `FLAGS`, `--config` and `--set`.

    Values arrive as text and are checked with the rest of the configuration, so that a wrong one is
    refused with the same sentence wherever it stands.

    Args:
        trains: Whether it takes `--theme` and `--alert` too.
        sweeps: Whether it takes `--grid` and `--seeds` too.

    Returns:
        What makes of a function that is called with what was given one that Typer can register.
    """
    config = typer.Option("--config", metavar="FILE.toml", parser=expanded, help="A config file.")
    others = typer.Option(
        "--set",
        metavar="KEY=VALUE",
        autocompletion=train_settings,
        help="Any other option by its name; may be repeated.",
    )
    known = built_in_settings()
    flags = [name for name in FLAGS if not (sweeps and name in NOT_QUEUED)]
    annotations: dict[str, Any] = {
        **{name: _annotation(known[name]) for name in flags},
        "config": Annotated[Path | None, config],
        "assignments": Annotated[list[str] | None, others],
        **({"theme": Theme, "alert": AlertTo} if trains else {}),
        **({"grid": Grid, "seeds": Seeds} if sweeps else {}),
    }

    def taking(command: Callable[[Given], None]) -> Callable[..., None]:
        def run(**values: Any) -> None:
            given = {name: values[name] for name in flags if values[name] is not None}
            more = assigned(values["assignments"])
            if twice := given.keys() & more.keys():
                raise _given_twice(min(twice))
            own = {name: values.get(name) for name in ("theme", "alert", "seeds")}
            command(Given(given | more, values["config"], grid=assigned(values.get("grid"), "--grid"), **own))

        run.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
                for name, annotation in annotations.items()
            ]
        )
        run.__annotations__ = annotations
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return taking


def _annotation(setting: Setting) -> Any:
    """What Typer is told of a setting's flag."""
    flag = f"--{setting.name.replace('_', '-')}"
    if setting.kind is bool:
        return Annotated[bool | None, typer.Option(f"{flag}/--no-{flag[2:]}", help=setting.help)]
    metavar = _OWN_METAVARS.get(setting.name, "|".join(setting.choices) or _METAVARS[setting.kind])
    owners = owners_of(setting.name)
    notes = [f"default: {setting.default}"] if setting.default is not None else []
    notes += [f"recipe: {owners[0]}"] if len(owners) == 1 else []
    told = f"{setting.help} [{'; '.join(notes)}]" if notes else setting.help
    option = typer.Option(flag, metavar=metavar, autocompletion=choices_of(setting), help=told)
    return Annotated[str | None, option]
