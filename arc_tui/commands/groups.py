"""The commands of `arc-tui`: where each stands, and what `--help` and the shell tell of it.

A command is imported when it is asked for, so that no other waits for what it needs.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import typer
from typer.core import CompletionItem, TyperGroup  # pyright: ignore[reportPrivateImportUsage]

COMPLETE = "_ARC_TUI_COMPLETE"
"""The variable by which a shell asks for what goes on a line."""

Table = Mapping[str, Mapping[str, tuple[str, str]]]
"""Commands under their headings, each with file and name of its function and that one's first sentence."""

COMMANDS: Table = {
    "Train and steer": {
        "train": ("train:train", "Make a run, start its training and open the console on it."),
        "pause": ("steer:pause", "Let training stand still at the next step boundary."),
        "resume": ("steer:resume", "Go on with a paused run, or start an ended one again."),
        "checkpoint": ("steer:checkpoint", "Save a checkpoint at the next step boundary."),
        "validate": ("steer:validate", "Validate at the next step boundary."),
        "set": ("steer:set_values", "Change rates or the checkpoint interval during training."),
        "stop": ("steer:stop", "Save a checkpoint and end the run."),
        "note": ("runs:note", "Keep a note with a run; `status` shows it."),
        "queue": ("queue:queue_app", "Train runs one after another: add, list, remove, run."),
        "delete": ("runs:delete", "Delete a run with its checkpoints."),
        "fetch-lm": ("models:fetch_lm", "Fetch a language model, so that --lm finds it."),
    },
    "Look": {
        "attach": ("attach:attach", "Open the console on a run, whether it trains or has ended."),
        "runs": ("runs:runs", "List the runs of a folder, the newest first."),
        "status": ("status:status", "Show what a run is doing, with its last numbers."),
        "logs": ("status:logs", "Show what has happened in a run, as train prints it."),
        "report": ("report:report", "Write a run, or several compared, as HTML or a picture."),
        "export": (
            "export:export",
            "Write a run's numbers to a file, or its weights to a hub.",
        ),
        "mirror": ("mirror:mirror", "Take a run into TensorBoard, trackio or W&B while it trains."),
        "serve": ("serve:serve", "Show console and browsers in a web page, with a token."),
        "inspect": ("inspect:inspect_app", "Browse checkpoints, datasets, tasks and results."),
    },
    "Solve and score": {
        "solve": ("solve:solve", "Solve one task by training on its demonstrations."),
        "eval": ("eval:evaluate", "Solve the tasks of a split and score the submission."),
        "score": ("score:score", "Score submissions as ARC Prize does."),
        "export-weights": (
            "models:export_weights",
            "Write what a run has learned as weights for solve and eval.",
        ),
    },
    "Settings": {
        "config": ("train:config", "Print the configuration of `train` as a config file."),
        "settings": ("themes:settings", "Print a config file for the console."),
        "themes": ("themes:themes", "List the themes with their colours."),
        "completion": ("completion:completion", "Print what makes bash, zsh or fish complete commands."),
    },
}

INSPECT: Table = {
    "Commands": {
        "checkpoint": ("inspect:checkpoint", "Browse a run's checkpoint, or any safetensors."),
        "dataset": ("tasks:dataset", "List a dataset's tasks with sizes, colours and rule sentences."),
        "task": ("tasks:task", "Show a task as grids, with features and rule sentence."),
        "results": ("results:results", "Browse what one evaluation has solved, or several side by side."),
    }
}
"""The commands of `arc-tui inspect`."""


QUEUE: Table = {
    "Commands": {
        "add": ("queue:add", "Add a run at the end of the queue, or a whole sweep."),
        "list": ("queue:list_queue", "List what waits, what is trained and what has become of the rest."),
        "remove": ("queue:remove", "Take runs out of the queue; what they have trained stays."),
        "run": ("queue:run", "Train what waits, one run after another."),
    }
}
"""The commands of `arc-tui queue`."""


class _Imported(Mapping[str, Any]):
    """The commands of a table by name, each imported when it is taken out."""

    def __init__(self, table: Table) -> None:
        self._places = {name: place for under in table.values() for name, (place, _) in under.items()}

    def __getitem__(self, name: str) -> Any:
        file, _, function = self._places[name].partition(":")
        found = getattr(importlib.import_module(f"arc_tui.commands.{file}"), function)
        if isinstance(found, typer.Typer):
            return typer.main.get_command(found)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name)(found)
        return typer.main.get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class CommandGroup(TyperGroup):
    """The group of all commands, of which only the one asked for is imported; its help cuts no line."""

    table: ClassVar[Table] = COMMANDS

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands: Any = _Imported(self.table)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands in their order."""
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _complete_as_typed(command, ctx)
        return command

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what stands before the command."""
        _complete_as_typed(self, ctx)
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[CompletionItem]:
        """Offer commands with their sentences, or flags."""
        told = [(name, told) for under in self.table.values() for name, (_, told) in under.items()]
        found = [CompletionItem(name, help=said) for name, said in told if name.startswith(incomplete)]
        return found or super().shell_complete(ctx, incomplete)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, in columns as wide under each heading."""
        widest = max(map(len, self.commands))
        for heading, under in self.table.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), sentence) for name, (_, sentence) in under.items()])


def _complete_as_typed(command: Any, ctx: Any) -> None:
    """Leave values as they are where a line is completed: checking them costs more time than all the rest."""
    if ctx.resilient_parsing:
        for parameter in command.get_params(ctx):
            parameter.process_value = lambda ctx, value: value


class InspectGroup(CommandGroup):
    """The group of what `arc-tui inspect` shows."""

    table = INSPECT


class QueueGroup(CommandGroup):
    """The group of what `arc-tui queue` does."""

    table = QUEUE
