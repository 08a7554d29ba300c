"""The entry point of `arc-tui`: runs one of `arc_tui.commands`, and tells in one sentence what was wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn, cast

import typer

from arc_core.base.errors import ArcError
from arc_core.base.text import printable
from arc_tui.commands.groups import COMPLETE, CommandGroup
from arc_tui.commands.output import OutputLost, echo, echo_error, is_lost, open_streams, settle
from arc_tui.ui.terminal import forget_unusable_sizes

BAD_INPUT = 2
INTERRUPTED = 130


def _hyphenated(token: str) -> str:
    """Return the one spelling of a flag or command: the seed writes them with underscores."""
    return token.replace("_", "-")


app = typer.Typer(
    name="arc-tui",
    cls=CommandGroup,
    help="Train an ARC-AGI agent and watch it.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": _hyphenated,
    },
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata  # here, as nothing else needs what it imports

        echo(f"arc-tui {importlib.metadata.version('arc-tui')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def arc_tui(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train an ARC-AGI agent and watch it."""
    del version
    if context.invoked_subcommand is None:
        echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 crashed or output lost, 2 bad input told in one sentence.

    Where the reader of standard output goes away, nothing is said, and the exit code is 141.
    """
    forget_unusable_sizes()
    open_streams()
    if COMPLETE in os.environ:
        from arc_tui.commands.completion import prepare

        prepare()
    try:
        code = _run(arguments)
    except OutputLost:
        code = 0  # `settle` tells of it
    except SystemExit as left:
        if not is_lost():
            raise left
        code = 0  # Typer's own way to leave where the reader has gone
    sys.exit(settle(code))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code: object = app(args=arguments, prog_name="arc-tui", standalone_mode=False)
    except ArcError as error:
        sentence = printable(str(error))
        echo_error(f"Error: {sentence}" + ("" if sentence.endswith((".", "?")) else "."))
        return BAD_INPUT
    except typer.TyperException as error:
        echo_error(f"Error: {_usage_problem(error)}")
        return BAD_INPUT
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _usage_problem(error: BaseException) -> str:
    """Return what is wrong with the command line as one sentence, with the nearest right name."""
    if type(error).__name__ != "NoSuchOption":
        return printable(cast(Any, error).format_message())
    # Here, as no other command line needs them.
    from arc_core.base.options import canonical, nearest
    from arc_core.run.recipes import built_in_settings

    context = cast(Any, error).ctx
    flag = cast(str, cast(Any, error).option_name)
    shown, name = printable(flag, 60), canonical(flag.lstrip("-"))
    own = _flags_of(context.command) if context is not None else []
    # Of --set, `train` and `config` take every setting of the configuration, other commands a few of others.
    others = built_in_settings() if "config" in own else ()
    if name in others:
        return f"{shown} is not a flag of this command; use --set {name}=VALUE."
    near = nearest(name, own) or nearest(name, others)
    if near is None:
        where = f"; `{context.command_path} --help` lists what there is" if context is not None else ""
        return f"There is no flag {shown} here{where}."
    hint = f"--{near.replace('_', '-')}" if near in own else f"--set {near}=VALUE"
    return f"There is no flag {shown}; did you mean {hint}?"


def _flags_of(command: Any) -> list[str]:
    """The names of the flags that a command takes."""
    return [
        flag.removeprefix("--").replace("-", "_")
        for parameter in command.params
        for flag in parameter.opts
        if flag.startswith("--")
    ]


if __name__ == "__main__":
    main()
