"""The screens that a console opens over its main one, and what it does with their answers."""

from __future__ import annotations

import subprocess
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import SuspendNotSupported

from arc_core.base.errors import ArcError
from arc_core.run.directory import RunDirectory, gone_sentence, open_run
from arc_tui.console.main import MainScreen
from arc_tui.console.options import Options
from arc_tui.console.runs import RunChoice, RunsScreen, Wanted
from arc_tui.console.timeline import TimelineScreen
from arc_tui.runs.engine import Program
from arc_tui.runs.session import Session
from arc_tui.runs.starting import Begin
from arc_tui.ui.actions import CONSOLE, Scope
from arc_tui.ui.app import BaseApp


class OpensScreens(BaseApp[None]):
    """The part of the console that goes from screen to screen.

    Attributes:
        options: What the console is opened with.
        session: The run that is shown.
        main: The main screen.
    """

    PLACES: ClassVar[tuple[Scope, ...]] = CONSOLE
    options: Options
    session: Session
    main: MainScreen

    @abstractmethod
    def attach(self, run: RunDirectory) -> None:
        """Show another run."""

    @abstractmethod
    def start_again(self, run: RunDirectory, begin: Begin | None = None) -> None:
        """Start the training process of a run that has none, and show it."""

    def action_runs(self) -> None:
        """Browse the runs of the folder."""
        options = self.options
        screen = RunsScreen(options.runs_dir, self.session.run.name, read_only=options.read_only)
        self.push_screen(screen, self._run_chosen)

    def _run_chosen(self, choice: RunChoice | None) -> None:
        if choice is None:
            return
        try:
            run = open_run(Path(self.options.runs_dir), choice.name)
            if choice.wanted is Wanted.GO_ON:
                self.start_again(run)
            elif run != self.session.run:
                self.attach(run)
        except ArcError as error:
            self.main.tell(f"✗ {error}", "error", None)

    def action_timeline(self) -> None:
        """Show the checkpoints of the run."""
        session = self.session
        if self._tell_gone():
            return
        read_only = self.options.read_only or session.replay
        screen = TimelineScreen(session.run, session.view, read_only=read_only)
        self.push_screen(screen, self._checkpoint_chosen)

    def _checkpoint_chosen(self, begin: Begin | None) -> None:
        if begin is None or self._tell_gone():
            return
        try:
            self.start_again(self.session.run, begin)
        except ArcError as error:
            self.main.tell(f"✗ {error}", "error", None)

    @on(TimelineScreen.BrowserWanted)
    def browse(self, message: TimelineScreen.BrowserWanted) -> None:
        """Lend the terminal to the browser of checkpoints until it is left; the run goes on meanwhile."""
        run = self.session.run
        if self._tell_gone():
            return
        command = Program.COMMANDS.command("inspect", "checkpoint", run.name)
        command += ["--checkpoint", str(message.checkpoint), "--runs-dir", str(run.path.parent)]
        if self.options.theme is not None:
            command += ["--theme", self.options.theme]
        if self.read_only:
            command.append("--read-only")
        try:
            with self.suspend():
                subprocess.run(command, check=False)
        except SuspendNotSupported:
            self.main.tell("▲ This terminal cannot be lent to the browser", "warning")

    def _tell_gone(self) -> bool:
        """Say that the run is gone; returns whether it is."""
        if self.session.gone:
            self.main.tell(f"✗ {gone_sentence(self.session.run)}", "error")
        return self.session.gone
