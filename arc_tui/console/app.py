"""The console: a Textual app over a run directory.

It follows the run's events, draws them, and puts commands into the run's folder. The training process is
never its own: the console may be left, killed or opened again at any time.
"""

from __future__ import annotations

import time
from typing import ClassVar

from textual import on
from textual.message import Message
from textual.screen import ModalScreen, Screen

from arc_core.base.errors import ArcError
from arc_core.base.text import cause, printable
from arc_core.run.directory import RunDirectory, lock_holder
from arc_tui.alerts.starting import start_watcher
from arc_tui.console.dialogs import CrashScreen
from arc_tui.console.machine import Machine, MachineSample
from arc_tui.console.main import MainScreen
from arc_tui.console.navigation import OpensScreens
from arc_tui.console.options import Options
from arc_tui.console.palette import ActionProvider
from arc_tui.console.steering import MESSAGE_SECONDS
from arc_tui.runs.engine import REFUSED_INPUT, Supervisor, last_lines
from arc_tui.runs.feed import Arrival, EventSource
from arc_tui.runs.session import News, Session
from arc_tui.runs.starting import Begin, command_line, prepare
from arc_tui.runs.state import Phase
from arc_tui.ui.terminal import Terminal

MACHINE_SECONDS = 2.0
THEME_SECONDS = 1.0


class BatchArrived(Message):
    """The feed has read more of a run.

    Attributes:
        batch: What is new.
        generation: Which feed it comes from; one from a feed that was left since is ignored.
    """

    def __init__(self, batch: Arrival, generation: int) -> None:
        super().__init__()
        self.batch = batch
        self.generation = generation


class MachineSampled(Message):
    """The machine was looked at."""

    def __init__(self, sample: MachineSample) -> None:
        super().__init__()
        self.sample = sample


class ConsoleApp(OpensScreens):
    """Shows a run and steers it.

    Args:
        run: The run to show first.
        options: What the console is opened with.
        supervisor: The training process that was started for the run; None where none was.

    Attributes:
        refused: Whether the training process refused its input, so that there is nothing to show.

    Raises:
        ArcError: If the run's run.json, the theme or the keys are refused.
    """

    TITLE = "arc-tui"
    WHAT = "the console"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {ActionProvider}
    COMMAND_PALETTE_BINDING = "f20"
    """Textual wants one of its own; ours is in the table of keys."""

    def __init__(
        self, run: RunDirectory, options: Options | None = None, supervisor: Supervisor | None = None
    ) -> None:
        self.options = options if options is not None else Options()
        settings = self.options.settings
        # A replay asks nothing of its run, but may write what it shows.
        read_only = self.options.read_only and not self.options.replay
        super().__init__(self.options.theme or settings.theme, settings.keys, read_only=read_only)
        self.refused = False
        self.supervisor = supervisor if supervisor is not None else Supervisor()
        self.session = self._session_of(run)
        self._source: EventSource | None = None
        self._generation = 0
        self._machine = Machine(run.path, self._trainer)
        self._terminal = Terminal(self.options.settings, self._write, self.bell)
        self._drawn_at = 0.0
        self._told_end = False

    # Textual's own

    def get_default_screen(self) -> Screen[None]:
        """Return the main screen."""
        settings = self.options.settings
        self.main = MainScreen(
            self.session,
            self.options.runs_dir,
            read_only=self.options.read_only,
            grid_digits=settings.grid_digits or self.looks.colourless,
            log_scale=settings.log_scale,
        )
        return self.main

    @on(MainScreen.Ready)
    def begin(self) -> None:
        """Begin to follow the run."""
        self._terminal.open()
        self._start_source()
        self.set_interval(1 / self.options.settings.refresh, self._tick)
        self.set_interval(MACHINE_SECONDS, self._sample_machine)
        self.set_interval(THEME_SECONDS, self._follow_theme)
        self._sample_machine()
        if self.options.choose:
            self.action_runs()

    def on_unmount(self) -> None:
        """Let go of everything; the run goes on."""
        self._stop_source()
        self._terminal.close()
        self._machine.close()

    # The run

    def attach(self, run: RunDirectory) -> None:
        """Show another run.

        Raises:
            RunError: If its run.json cannot be read; the run that is shown stays.
        """
        session = self._session_of(run)
        self._stop_source()
        self.session = session
        self._told_end = False
        self._machine.close()
        self._machine = Machine(run.path, self._trainer)
        self.main.attach(session)
        self._start_source()

    def start_again(self, run: RunDirectory, begin: Begin | None = None) -> None:
        """Start the training process of a run that has none, and show it.

        Args:
            run: The run.
            begin: Where it goes on; None takes the newest checkpoint that verifies.

        Raises:
            ArcError: If it cannot be resumed.
        """
        asked = {"resume": run.name} if begin is None else begin.flags()
        launch = prepare({**asked, "runs_dir": self.options.runs_dir}, None, [])
        self.supervisor.start(launch.run)
        if self.options.alert is not None:
            start_watcher(launch.run, self.options.alert, self.options.settings)
        self.attach(launch.run)

    def _session_of(self, run: RunDirectory) -> Session:
        return Session(run, replay=self.options.replay, clock=self.options.clock)

    def _start_source(self) -> None:
        run = self.session.run
        if self.supervisor.run == run and self.supervisor.running:
            self.session.expected_alive = lambda: self.supervisor.run == run and self.supervisor.running
            self.session.awaited_since = self.supervisor.started_at
        self._generation += 1
        generation = self._generation

        def hand_over(batch: Arrival) -> None:
            self.post_message(BatchArrived(batch, generation))

        self._source = self.options.source(run, hand_over)
        self._source.start()

    def _stop_source(self) -> None:
        if self._source is not None:
            self._source.stop()
            self._source = None

    def _trainer(self) -> int | None:
        try:
            return lock_holder(self.session.run)
        except (ArcError, OSError):  # the feed tells of it
            return None

    @on(BatchArrived)
    def take_batch(self, message: BatchArrived) -> None:
        """Take in what is new; the panels follow at their own pace."""
        if message.generation != self._generation or not self.is_running:
            return
        first = not self.session.known
        phase = self.session.phase
        news = self.session.take(message.batch)
        self.main.stale()
        self._tell(news)
        if first:
            self.main.redraw()
        elif self.session.phase is not phase:
            self.main.redraw_state()

    def _tell(self, news: News) -> None:
        """Tell what is news at once."""
        settings = self.options.settings
        if news.best:
            self._notify("has a new best validation", wanted=settings.on_best)
            self.main.tell("✓ Best validation so far", "good")
        for request in news.requests:
            self.main.tell_request(request)
        if self.session.requests.to_resend:
            try:
                self.session.ask_again()
            except ArcError as error:
                self.main.tell(f"▲ {error}", "warning")
        if news.problem is not None:
            self.main.tell(f"✗ {news.problem}", "error", None)
        if news.ended in (Phase.FINISHED, Phase.STOPPED):
            word = "has finished" if news.ended is Phase.FINISHED else "has ended"
            self._notify(word, wanted=settings.on_finish)
        elif news.ended is Phase.CRASHED:
            self._crashed()

    def _notify(self, what: str, *, wanted: bool) -> None:
        self._terminal.tell(self.session.run.name, what, wanted=wanted)

    def _crashed(self) -> None:
        """Show how the training process ended, once."""
        if self._told_end or self.options.replay:
            return
        self._told_end = True
        self._notify("has crashed", wanted=self.options.settings.on_crash)
        run = self.session.run
        own = self.supervisor.run == run and self.supervisor.returncode is not None
        told = cause(self.supervisor.returncode or 0) if own else ""
        again = command_line(self.options.runs_dir, "train", "--resume", run.name)
        dialog = CrashScreen(told, last_lines(run), again, read_only=self.options.read_only)
        self.push_screen(dialog, self._again_wanted)

    def _again_wanted(self, wanted: bool | None) -> None:
        if wanted:
            self.start_again_asked()

    @on(MainScreen.StartAgain)
    def start_again_asked(self) -> None:
        """Start the process of the run again."""
        try:
            self.start_again(self.session.run)
        except ArcError as error:
            self.main.tell(f"✗ {error}", "error", None)

    # The pace

    def _tick(self) -> None:
        """Draw what has changed, less often while nobody looks."""
        if not self.is_running:  # timers go on for a moment while the console closes
            return
        self._see_process()
        settings = self.options.settings
        now = time.monotonic()
        if not self.app_focus and now - self._drawn_at < 1 / settings.refresh_unfocused:
            return
        self._drawn_at = now
        if self.screen is self.main or isinstance(self.screen, ModalScreen):
            self.main.redraw()
        state = self.session.state
        total = self.session.view().facts.total_steps
        share = state.step / total if total else None
        self._terminal.show(self.session.run.name, self.session.phase, share)

    def _see_process(self) -> None:
        """Notice that the process that this console started has ended by itself."""
        code = self.supervisor.returncode
        told = self._told_end or self.session.gone
        if code is None or self.supervisor.run != self.session.run or told:
            return
        state = self.session.state
        if code == REFUSED_INPUT and state.reason is not None:
            self._told_end = True
            self.supervisor.outcome.reason = state.reason
            if state.step == 0:
                self.refused = True
                self.exit()
            else:
                self._notify("has given up", wanted=self.options.settings.on_crash)
                self.main.tell(f"✗ {printable(state.reason, 300)}", "error", None)
        elif code not in (0, REFUSED_INPUT):
            self.session.process_ended()
            self._crashed()

    def _sample_machine(self) -> None:
        self.run_worker(self._look_at_machine, thread=True, exclusive=True, group="machine")

    def _look_at_machine(self) -> None:
        self.post_message(MachineSampled(self._machine.sample()))

    @on(MachineSampled)
    def take_sample(self, message: MachineSampled) -> None:
        """Hand a sample to its panel."""
        self.main.take_machine(message.sample)

    def _follow_theme(self) -> None:
        if not self.is_running:
            return
        problem = self._looks.follow(self)
        if problem is not None:
            self.main.tell(f"▲ {problem}", "warning")

    # Actions

    def tell(self, text: str, style: str = "muted", seconds: float | None = MESSAGE_SECONDS) -> None:
        """Show a message on the main screen."""
        self.main.tell(text, style, seconds)

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        """Save the screen under the name of the run."""
        self.PICTURE = self.session.run.name
        super().action_screenshot(filename, path)

    def _write(self, text: str) -> None:
        if self._driver is not None and not self.is_headless:
            self._driver.write(text)
