"""What a run is told while it trains: signals and commands, and the settings that they may change."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from typing import Any, Protocol

from arc_core.run.commands import INTERVALS, Command, CommandInbox
from arc_core.run.directory import RunDirectory
from arc_core.run.events import EventWriter
from arc_core.training.diagnostics import Finding
from arc_core.training.progress import Progress
from arc_core.training.ranks import ALONE, Ranks


class Rated(Protocol):
    """Models whose learning rates can be set while they train."""

    def base_rates(self) -> dict[str, float]:
        """The learning rates by the names of their settings, before the schedule."""
        ...

    def set_base_rate(self, name: str, rate: float) -> None:
        """Set a learning rate by its setting's name."""
        ...


def apply_settings(system: Rated, progress: Progress, values: Mapping[str, Any]) -> dict[str, Any]:
    """Set learning rates and the checkpoint interval, in steps or minutes.

    Args:
        system: Whose optimizers are set.
        progress: Holds the interval.
        values: By name; names that are no live settings are left alone.

    Returns:
        The old values of those that were set.
    """
    old: dict[str, Any] = {}
    for name, value in values.items():
        if name in system.base_rates():
            old[name] = system.base_rates()[name]
            system.set_base_rate(name, value)
        elif name in INTERVALS:
            old[name] = getattr(progress, name)
            setattr(progress, name, value)
    return old


class Control:
    """Takes commands and answers each by an event; the trainer acts on what it finds here.

    Several processes of a run obey what the first of them takes, all at the same step; one that is asked to
    stop by a signal ends them all.

    Attributes:
        stop_reason: Why the run is to end at the next step boundary; None while it is not.
        paused: Whether training is to stand still.
        checkpoint_requested: Whether a checkpoint is wanted.
        validation_requested: Whether a validation is wanted.
    """

    def __init__(
        self,
        run: RunDirectory,
        events: EventWriter,
        system: Rated,
        progress: Progress,
        *,
        validates: bool,
        saves: bool = True,
        ranks: Ranks = ALONE,
    ) -> None:
        self._events = events
        self._system = system
        self._progress = progress
        self._validates = validates
        self._saves = saves
        self._ranks = ranks
        self._inbox = CommandInbox(run.commands, time.time())
        self._asked: str | None = None
        self.stop_reason: str | None = None
        self.paused = False
        self.checkpoint_requested = False
        self.validation_requested = False

    def ask_to_stop(self, reason: str) -> None:
        """End the run at the next step boundary; the first reason counts."""
        self._asked = self._asked or reason
        if self._ranks.alone:
            self.stop_reason = self._asked

    def take(self) -> None:
        """Take the commands that have come."""
        for command in self._come():
            refusal = command.reason or self._refusal(command)
            if refusal is not None:
                self._events.emit("command_rejected", id=command.id, reason=refusal)
                continue
            old = self._obey(command)
            new = command.args if command.command == "set" else None
            self._events.emit("command_applied", id=command.id, command=command.command, old=old, new=new)
            if command.command == "set":
                self._sync()  # an acknowledged setting is never lost

    def _come(self) -> list[Command]:
        """What has come to the first process, for all of them; and whether one of them is to stop."""
        if self._ranks.alone:
            return self._inbox.poll()
        come = [dataclasses.asdict(command) for command in self._inbox.poll()] if self._ranks.first else []
        told, stops = self._ranks.agree(json.dumps(come) if come else "", self._asked is not None)
        if stops:
            self.stop_reason = self.stop_reason or self._asked or "stopped by a signal"
        return [Command(**command) for command in json.loads(told or "[]")]

    def _sync(self) -> None:
        try:
            self._events.sync()
        except OSError as error:
            finding = Finding(
                "log_not_synced",
                f"The event log could not be synced to the disk: {error}.",
                "The setting holds and training goes on; see to the disk, or it may be lost in a power cut.",
            )
            self._events.emit("warning", **dataclasses.asdict(finding))

    def _refusal(self, command: Command) -> str | None:
        foreign = command.args.keys() - self._system.base_rates().keys() - set(INTERVALS)
        if command.command == "set" and foreign:
            return f"This run has no {min(foreign)}."
        if command.command == "pause" and self.paused:
            return "Training is paused already."
        if command.command == "resume" and not self.paused:
            return "Training is not paused."
        if command.command == "validate" and not self._validates:
            return "There is nothing to validate on."
        if not self._saves and (command.command == "checkpoint" or command.args.keys() & set(INTERVALS)):
            return "This run saves no checkpoints."
        return None

    def _obey(self, command: Command) -> dict[str, Any] | None:
        match command.command:
            case "set":
                return apply_settings(self._system, self._progress, command.args)
            case "stop":
                self.ask_to_stop("stopped by a command")
            case "pause":
                self.paused = True
            case "resume":
                self.paused = False
            case "checkpoint":
                self.checkpoint_requested = True
            case _:
                self.validation_requested = True
        return None
