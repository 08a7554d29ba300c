"""The tasks of one evaluation, with their answers as grids; of one that goes on, as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from arc_core.base.text import printable
from arc_tui.drawing.groups import Group
from arc_tui.drawing.rows import Row
from arc_tui.results.choice import EVERYTHING, Chosen, chosen_results, size_rules
from arc_tui.results.evaluations import EvalResults, State, TaskResult, newer
from arc_tui.results.groups import GLYPHS, STYLES, result_groups
from arc_tui.results.rows import id_cells, task_heading, task_row
from arc_tui.results.tasks_screen import TasksScreen
from arc_tui.results.text import asked, progress, scored_lines, told

LOOK_SECONDS = 2.0
"""How often new answers are looked for while the evaluation is not finished."""


class ResultTasks:
    """The tasks of an evaluation.

    Args:
        results: The evaluation.
    """

    FILTERS: ClassVar[Sequence[str]] = (EVERYTHING, *(state.value for state in State))
    FILTER_NAMES: ClassVar[Mapping[str, str]] = {}

    def __init__(self, results: EvalResults) -> None:
        self.results = results
        self._chosen = Chosen()
        self._shown: list[TaskResult] = []
        self._wide = id_cells([found.id for found in results.tasks])

    def ids(self) -> Sequence[str]:
        """Return the ids of the tasks that are shown."""
        return [found.id for found in self._shown]

    def choose(self, chosen: Chosen) -> None:
        """Choose and sort the tasks."""
        self._chosen = chosen
        self._shown = chosen_results(self.results.tasks, chosen)

    def size_rules(self) -> Sequence[str]:
        """Return the size rules that occur."""
        return size_rules(self.results.tasks)

    def heading(self, cells: int) -> Row:
        """Write what stands above the tasks."""
        return task_heading(cells, self._wide, self._chosen.order, reverse=self._chosen.reverse)

    def row(self, index: int, cells: int) -> Row:
        """Write a task."""
        return task_row(self._shown[index], cells, self._wide)

    def told_of(self, index: int) -> Row:
        """Write in a line what is known of a task."""
        found = self._shown[index]
        sign = f"  {GLYPHS[found.state]} {found.state.value}  "
        known = told(found) or printable(found.problem or "", 300)
        return [(printable(found.id, 40), "title"), (sign, STYLES[found.state]), (known, "muted")]

    def groups(self, index: int, *, demonstrations: bool) -> Sequence[Sequence[Group]]:
        """Return what may be shown of a task."""
        return result_groups(self._shown[index], demonstrations=demonstrations)

    def summary(self) -> tuple[Row, Row]:
        """Write which evaluation it is and how much of it is solved."""
        solved, done = self.results.count(State.SOLVED), self.results.done
        count = (
            f"{done} tasks" if self.results.finished else f"{done} tasks done of {len(self.results.tasks)}"
        )
        left: Row = [(self.results.name, "title"), (f"  {asked(self.results.assignment)}", "muted")]
        if self.results.report is None and done:
            return left, [(f"{count}, not scored", "text")]
        return left, [(f"{solved} solved of {count}", "text")]

    def scores(self) -> list[str]:
        """Write the scores."""
        return [asked(self.results.assignment), f"{progress(self.results)}.", *scored_lines(self.results)]


class ResultsScreen(TasksScreen):
    """Shows an evaluation.

    Args:
        results: The evaluation.
        chosen: What is shown at first.
    """

    tasks: ResultTasks

    def __init__(self, results: EvalResults, chosen: Chosen | None = None) -> None:
        super().__init__(ResultTasks(results), chosen)

    @property
    def results(self) -> EvalResults:
        """The evaluation, with the answers that have come."""
        return self.tasks.results

    def on_mount(self) -> None:
        """Say what the reader should know, and follow an evaluation that goes on."""
        if self.results.notes:
            self.tell(f"▲ {' '.join(self.results.notes)}", "warning")
        elif not self.results.finished:
            self.tell(f"{progress(self.results)}; to go on: arc-tui eval --resume {self.results.name}")
        if not self.results.finished:
            self.set_interval(LOOK_SECONDS, self.look_again)

    def look_again(self) -> None:
        """Show the answers that have come since."""
        found = newer(self.results)
        if found is not self.results:
            self.tasks.results = found
            self.tell(progress(found))
            self.again()
