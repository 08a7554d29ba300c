"""The browser as an app: a checkpoint, and what is opened from it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from textual import on
from textual.screen import Screen

from arc_core.base.errors import ArcError
from arc_core.base.paths import expanded
from arc_core.base.text import printable
from arc_core.run.checkpoint_index import checkpoint_id
from arc_tui.drawing.rows import Row, fill, wrap
from arc_tui.hub.names import on_hub
from arc_tui.inspect.browsed import Browsed
from arc_tui.inspect.browser import BrowserScreen
from arc_tui.inspect.browser_rows import tail
from arc_tui.inspect.compare_screen import CompareCheckpoints
from arc_tui.inspect.tensors.extract import export_language_model, export_module
from arc_tui.inspect.tensors.source import LANGUAGE_MODEL, Checkpoint, Kind, of_run, open_checkpoint
from arc_tui.inspect.tensors.verify import FileCheck, conclusion, verify
from arc_tui.inspect.timeline_screen import DriftScreen
from arc_tui.inspect.training_screen import TrainingScreen
from arc_tui.looks.themes import DEFAULT_THEME
from arc_tui.runs.fields import size
from arc_tui.runs.starting import Begin
from arc_tui.ui.actions import INSPECT
from arc_tui.ui.app import BaseApp
from arc_tui.ui.dialog import Notice, Prompt
from arc_tui.ui.jobs import Job
from arc_tui.ui.keys import Keymap


class InspectApp(BaseApp[Begin]):
    """Browses a checkpoint; ends with the training that is to begin, or None.

    Args:
        checkpoint: The checkpoint.
        runs_dir: Where runs are looked up by name.
        theme: Name of the theme.
        keys: The user's own keys by action id.
        read_only: Whether nothing may be exported and no training begin.

    Raises:
        ConfigError: If there is no such theme, its file is refused, or the keys clash.
    """

    WHAT = "the checkpoint browser"
    PICTURE = "inspect"
    PLACES = INSPECT

    def __init__(
        self,
        checkpoint: Checkpoint,
        runs_dir: Path = Path("runs"),
        theme: str = DEFAULT_THEME,
        keys: Keymap | None = None,
        *,
        read_only: bool = False,
    ) -> None:
        super().__init__(theme, keys, read_only=read_only)
        self._first = checkpoint
        self._runs_dir = runs_dir

    def get_default_screen(self) -> Screen[None]:
        """Return the browser of the checkpoint."""
        return self._browser_of(self._first)

    def _browser_of(self, checkpoint: Checkpoint) -> BrowserScreen:
        return BrowserScreen(Browsed(checkpoint), read_only=self.read_only)

    @property
    def browser(self) -> BrowserScreen | None:
        """The browser that is on top or right below what is; None where there is none."""
        found = [screen for screen in self.screen_stack if isinstance(screen, BrowserScreen)]
        return found[-1] if found else None

    # Actions

    def action_training(self) -> None:
        """Show where training stood."""
        browser = self.browser
        if browser is None:
            return
        if browser.browsed.training is None:
            self.tell("▲ This is no checkpoint of a run: it has no training state", "warning")
        else:
            self.push_screen(TrainingScreen(browser.browsed))

    def action_timeline(self) -> None:
        """Show the run's checkpoints and the drift of what is chosen."""
        browser = self.browser
        if browser is None:
            return
        checkpoint = browser.browsed.checkpoint
        if checkpoint.run is None:
            self.tell("▲ This checkpoint belongs to no run, so it has no timeline", "warning")
            return
        number = checkpoint_id(checkpoint.path)
        module, names = browser.chosen_module or "", browser.chosen_names()
        self.push_screen(DriftScreen(checkpoint.run, number, module, names, read_only=self.read_only))

    @on(DriftScreen.Open)
    def open_checkpoint(self, message: DriftScreen.Open) -> None:
        """Browse another checkpoint of the run."""
        self._with_other(message.number, lambda other: self.push_screen(self._browser_of(other)))

    @on(DriftScreen.Compare)
    def compare_checkpoints(self, message: DriftScreen.Compare) -> None:
        """Compare the checkpoint that is browsed with another of its run."""
        browser = self.browser
        if browser is not None:
            here = browser.browsed.checkpoint
            self._with_other(message.number, lambda other: self.push_screen(CompareCheckpoints(here, other)))

    def _with_other(self, number: int, use: Callable[[Checkpoint], object]) -> None:
        browser = self.browser
        run = browser.browsed.checkpoint.run if browser is not None else None
        if run is None:
            return
        try:
            use(of_run(run, number))
        except ArcError as error:
            self.tell(f"✗ {error}", "error")

    @on(DriftScreen.Wanted)
    def begin(self, message: DriftScreen.Wanted) -> None:
        """Leave, so that training can begin."""
        self.exit(message.begin)

    def action_compare(self) -> None:
        """Ask for another checkpoint and compare."""

        def check(path: str) -> None:
            if not on_hub(path, self._runs_dir):  # which is asked in the background
                open_checkpoint(path, self._runs_dir)

        dialog = Prompt(
            "Compare with",
            [
                "A file, a folder, a pattern, a checkpoint, a run or its name, a repository on the hub, "
                "as arc-tui inspect checkpoint takes it."
            ],
            check=check,
        )
        self.push_screen(dialog, self._compare_with)

    def _compare_with(self, path: str | None) -> None:
        browser = self.browser
        if not path or browser is None:
            return
        here = browser.browsed.checkpoint

        def work(job: Job) -> None:
            other = open_checkpoint(path, self._runs_dir)
            job.progress(1, 1)  # unless it has been called off meanwhile
            self.call_from_thread(self.push_screen, CompareCheckpoints(here, other))

        if on_hub(path, self._runs_dir):
            browser.compute("reading headers on the hub", work)
        else:
            self.push_screen(CompareCheckpoints(here, open_checkpoint(path, self._runs_dir)))

    def action_verify(self) -> None:
        """Hold every file against the manifest."""
        browser = self.browser
        if browser is None:
            return
        checkpoint = browser.browsed.checkpoint

        def work(job: Job) -> None:
            found = list(verify(checkpoint, progress=job.progress))
            self.call_from_thread(self.push_screen, Notice("Files", functools.partial(_check_rows, found)))

        browser.compute("verifying every file; Esc calls it off", work)

    def action_export(self) -> None:
        """Ask for a folder and copy what is chosen there."""
        browser = self.browser
        module = browser.chosen_module if browser is not None else None
        if browser is None or module is None or not browser.may_steer():
            return
        checkpoint = browser.browsed.checkpoint
        whole_model = module == LANGUAGE_MODEL and checkpoint.kind is Kind.CHECKPOINT
        kind = "in Hugging Face layout" if whole_model else "as a safetensors file"
        shown = printable(module, 60)

        def export(folder: str | None) -> None:
            if not folder:
                return

            def work(_: Job) -> None:
                target = expanded(folder)
                files = (
                    export_language_model(checkpoint, target)
                    if whole_model
                    else export_module(checkpoint, module, target)
                )
                self.call_from_thread(self.tell, f"✓ Wrote {len(files)} files to {target}", "good")

            browser.compute(f"copying {shown}", work)

        self.push_screen(
            Prompt("Export to", [f"{shown} is copied {kind} into a new folder."], f"{module}_export"), export
        )


def _check_rows(found: list[FileCheck], cells: int) -> list[Row]:
    """Draw what came of verifying, what is wrong below the file that it is wrong with."""
    rows: list[Row] = [[]]
    names = min(max((len(file.name) for file in found), default=0), max(cells - 28, 12))
    for file in found:
        good = file.problem is None
        sign, style = (
            ("✗ ", "error") if not good else ("○ ", "muted") if file.by == "nothing" else ("✓ ", "good")
        )
        rows.append(
            [
                (sign, style),
                *fill([(tail(file.name, names), "text")], names),
                (f"{size(file.bytes):>10}  ", "muted"),
                (file.told if good else "", "muted"),
            ]
        )
        if not good:
            rows += [[("    ", ""), *row] for row in wrap(printable(file.told, 600), cells - 4, "error")]
    wrong = any(file.problem is not None for file in found)
    return [*rows, [], *wrap(conclusion(found), cells, "error" if wrong else "good")]
