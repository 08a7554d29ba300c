"""Turns options of the configuration into flags, so that their words and limits are written once."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from arc_core.base.errors import ConfigError
from arc_core.base.options import Setting, canonical
from arc_core.base.paths import expanded
from arc_core.run.config import settings
from arc_tui.commands.completion import choices_of, theme_names, train_settings

FLAGS = (
    "epochs",
    "agent_lr",
    "qwen_lr",
    "device",
    "seed",
    "max_batches",
    "batch_size",
    "dataset",
    "solutions",
    "extra_data",
    "skip_bad_tasks",
    "augment",
    "lm",
    "lm_train",
    "validate_on",
    "checkpoint_every",
    "preset",
    "name",
    "runs_dir",
    "headless",
    "detach",
    "resume",
    "checkpoint",
    "branch",
)
"""Options with a flag of their own; every other is given by --set key=value or in the config file."""

THEME = typer.Option(
    "--theme",
    metavar="NAME",
    autocompletion=theme_names,
    help="Theme of the console; `arc-tui themes` lists them.",
)
"""The flag of every command that opens the console."""

_METAVARS: dict[type, str] = {int: "N", float: "RATE", str: "TEXT"}
_OWN_METAVARS = {
    "resume": "RUN|latest",
    "checkpoint": "ID",
    "branch": "NAME",
    "runs_dir": "FOLDER",
    "device": "auto|cpu|cuda[:N]",
}


@dataclasses.dataclass(frozen=True)
class Given:
    """What stood on the command line: options by name, the config file, and the console's theme."""

    flags: dict[str, object]
    file: Path | None
    theme: str | None = None


def takes_options(command: Callable[[Given], None], *, themed: bool = False) -> Callable[..., None]:
    """Give a command the flags of `FLAGS`, `--config` and `--set`.

    Values arrive as text and are checked with the rest of the configuration, so that a wrong one is
    refused with the same sentence wherever it stands.

    Args:
        command: Is called with what was given.
        themed: Whether it takes `--theme` too.

    Returns:
        A function that Typer can register.
    """
    known = settings()

    def run(**values: Any) -> None:
        flags: dict[str, object] = {name: values[name] for name in FLAGS if values[name] is not None}
        for pair in cast("list[str] | None", values["assignments"]) or []:
            key, separator, value = pair.partition("=")
            if not separator:
                raise ConfigError(f"--set takes key=value, not {pair}.")
            name = canonical(key.strip())
            if name in flags:
                raise ConfigError(f"{name} is given twice on the command line.")
            flags[name] = value.strip()
        command(Given(flags, cast("Path | None", values["config"]), values.get("theme")))

    parameters = [_parameter(known[name]) for name in FLAGS]
    parameters += [
        _keyword(
            "config",
            Path | None,
            typer.Option("--config", metavar="FILE.toml", parser=expanded, help="A config file."),
        ),
        _keyword(
            "assignments",
            list[str] | None,
            typer.Option(
                "--set",
                metavar="KEY=VALUE",
                autocompletion=train_settings,
                help="Any other option by its name; may be repeated.",
            ),
        ),
    ]
    if themed:
        parameters.append(_keyword("theme", str | None, THEME))
    run.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _parameter(setting: Setting) -> inspect.Parameter:
    flag = f"--{setting.name.replace('_', '-')}"
    if setting.kind is bool:
        both = f"{flag}/--no-{setting.name.replace('_', '-')}"
        return _keyword(setting.name, bool | None, typer.Option(both, help=setting.help))
    metavar = _OWN_METAVARS.get(setting.name, "|".join(setting.choices) or _METAVARS[setting.kind])
    help_text = setting.help if setting.default is None else f"{setting.help} [default: {setting.default}]"
    return _keyword(
        setting.name,
        str | None,
        typer.Option(flag, metavar=metavar, autocompletion=choices_of(setting), help=help_text),
    )


def _keyword(name: str, kind: object, flag: object) -> inspect.Parameter:
    annotation = Annotated[kind, flag]  # pyright: ignore[reportInvalidTypeForm]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
