"""The browser of results as an app: evaluations, their tasks, and two of them compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from textual import on
from textual.screen import Screen

from arc_core.base.errors import ArcError
from arc_core.evaluation.folder import EvalFolder
from arc_tui.looks.themes import DEFAULT_THEME
from arc_tui.results.choice import Chosen
from arc_tui.results.evals_screen import EvalsScreen
from arc_tui.results.evaluation_screen import PairScreen, ResultsScreen
from arc_tui.results.evaluations import EvalResults, open_any, open_results
from arc_tui.results.pair import ResultsPair
from arc_tui.ui.actions import RESULTS
from arc_tui.ui.app import BaseApp, ended
from arc_tui.ui.dialog import Prompt
from arc_tui.ui.keys import Keymap
from arc_tui.ui.settings import load_settings


class ResultsApp(BaseApp[None]):
    """Browses evaluations.

    Args:
        opened: One evaluation, two to compare, or none for a list of all.
        evals_dir: The folder of evaluations.
        chosen: What is shown of the tasks at first.
        theme: Name of the theme.
        keys: The user's own keys by action id.
        read_only: Whether no file may be written.

    Raises:
        ConfigError: If there is no such theme, its file is refused, or the keys clash.
        RunError: If two evaluations have no task in common.
    """

    WHAT = "the browser of results"
    PICTURE = "results"
    PLACES = RESULTS

    def __init__(
        self,
        opened: Sequence[EvalResults],
        evals_dir: Path,
        chosen: Chosen | None = None,
        theme: str = DEFAULT_THEME,
        keys: Keymap | None = None,
        *,
        read_only: bool = False,
    ) -> None:
        super().__init__(theme, keys, read_only=read_only)
        self._pair = ResultsPair(*opened) if len(opened) == 2 else None
        self._first = opened[0] if opened else None
        self._evals_dir = evals_dir
        self._chosen = chosen

    def get_default_screen(self) -> Screen[None]:
        """Return the first screen."""
        if self._pair is not None:
            return PairScreen(self._pair, self._chosen)
        if self._first is not None:
            return ResultsScreen(self._first, self._chosen)
        return EvalsScreen(self._evals_dir)

    @on(EvalsScreen.Wanted)
    def open_wanted(self, message: EvalsScreen.Wanted) -> None:
        """Browse an evaluation, or compare two."""
        try:
            opened = [open_results(EvalFolder(path.absolute())) for path in message.paths]
            screen = ResultsScreen(opened[0]) if len(opened) == 1 else PairScreen(ResultsPair(*opened))
        except ArcError as error:
            self.tell(f"✗ {error}", "error")
            return
        self.push_screen(screen)

    def action_compare(self) -> None:
        """Ask for another evaluation and compare."""
        screen = self.screen
        if not isinstance(screen, ResultsScreen):
            self.tell("▲ Two evaluations are compared already", "warning")
            return
        here = screen.results
        found: list[ResultsPair] = []

        def check(name: str) -> None:
            asked = here.assignment
            split = "evaluation" if asked.split == "evaluation" else "training"
            found[:] = [ResultsPair(here, open_any(name, self._evals_dir, asked.dataset, split))]

        dialog = Prompt(
            "Compare with",
            ["The name of another evaluation or the start of it, or a folder, of others' answers too."],
            check=check,
        )

        def compare(name: str | None) -> None:
            if name:
                self.push_screen(PairScreen(found[0]))

        self.push_screen(dialog, compare)


def browse(
    opened: Sequence[EvalResults],
    evals_dir: Path,
    chosen: Chosen,
    theme: str | None,
    show_error: Callable[[str], None],
    *,
    read_only: bool = False,
) -> int:
    """Browse evaluations until the user leaves.

    Args:
        opened: One evaluation, two to compare, or none for a list of all.
        evals_dir: The folder of evaluations.
        chosen: What is shown of the tasks at first.
        theme: Name of the theme; None takes the user's own.
        show_error: Shows a line on standard error.
        read_only: Whether no file may be written.

    Returns:
        The exit code: 0, 1 if the browser failed, 128 and the signal's number if one ended it.

    Raises:
        ArcError: If the settings, the theme or the evaluations are refused.
    """
    settings = load_settings()
    app = ResultsApp(opened, evals_dir, chosen, theme or settings.theme, settings.keys, read_only=read_only)
    app.run()
    return ended(app, show_error)
