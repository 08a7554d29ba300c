"""The screens that a console opens over its main one, and what it does with their answers."""

from __future__ import annotations

import subprocess
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from textual import on
from textual.app import SuspendNotSupported

from arc_core.base.errors import ArcError
from arc_core.run.directory import RunDirectory, gone_sentence, open_run
from arc_tui.console.main import MainScreen
from arc_tui.console.options import Options
from arc_tui.console.runs import RunChoice, RunsScreen, Wanted
from arc_tui.console.timeline import TimelineChoice, TimelineScreen
from arc_tui.runs.session import Session
from arc_tui.ui.app import BaseApp
from arc_tui.ui.help import HelpScreen


class OpensScreens(BaseApp[None]):
    """The part of the console that goes from screen to screen.

    Attributes:
        options: What the console is opened with.
        keys: Keys of every action.
        session: The run that is shown.
        main: The main screen.
    """

    options: Options
    keys: Mapping[str, Sequence[str]]
    session: Session
    main: MainScreen

    @abstractmethod
    def attach(self, run: RunDirectory) -> None:
        """Show another run."""

    @abstractmethod
    def start_again(self, run: RunDirectory, origin: Mapping[str, object] | None = None) -> None:
        """Start the training process of a run that has none, and show it."""

    def action_runs(self) -> None:
        """Browse the runs of the folder."""
        screen = RunsScreen(
            self.keys, self.options.runs_dir, self.session.run.name, read_only=self.options.read_only
        )
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
        screen = TimelineScreen(
            self.keys, session.run, session.view, read_only=self.options.read_only or session.replay
        )
        self.push_screen(screen, self._checkpoint_chosen)

    def _checkpoint_chosen(self, choice: TimelineChoice | None) -> None:
        if choice is None or self._tell_gone():
            return
        origin: dict[str, object] = {"checkpoint": str(choice.checkpoint)}
        if choice.name is not None:
            origin["branch"] = choice.name
        try:
            self.start_again(self.session.run, origin)
        except ArcError as error:
            self.main.tell(f"✗ {error}", "error", None)

    @on(TimelineScreen.BrowserWanted)
    def browse(self, message: TimelineScreen.BrowserWanted) -> None:
        """Lend the terminal to the browser of checkpoints until it is left; the run goes on meanwhile."""
        run = self.session.run
        if self._tell_gone():
            return
        command = [sys.executable, "-m", "arc_tui.cli", "inspect", "checkpoint", run.name]
        command += ["--checkpoint", str(message.checkpoint), "--runs-dir", str(run.path.parent)]
        if self.options.theme is not None:
            command += ["--theme", self.options.theme]
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

    def action_help(self) -> None:
        """Show all keys."""
        self.push_screen(HelpScreen(self.keys))
