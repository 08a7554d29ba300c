"""The tasks of an evaluation with their answers as grids, as they come; or of two beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from arc_core.base.text import printable
from arc_tui.drawing.groups import Group
from arc_tui.drawing.rows import Row
from arc_tui.results.choice import EVERYTHING, Chosen, size_rules
from arc_tui.results.evaluations import EvalResults, State, TaskResult, newer
from arc_tui.results.groups import GLYPHS, STYLES, demonstration_groups, paired_groups, result_groups
from arc_tui.results.pair import PairedTask, PairOutcome, ResultsPair
from arc_tui.results.rows import pair_heading, pair_row, task_heading, task_row
from arc_tui.results.tasks_screen import TasksScreen
from arc_tui.results.text import asked, counted_lines, progress, scored_lines, told

LOOK_SECONDS = 2.0
"""How often new answers are looked for while the evaluation is not finished."""


class ResultsScreen(TasksScreen[TaskResult]):
    """Shows an evaluation.

    Args:
        results: The evaluation.
        chosen: What is shown at first.
    """

    FILTERS: ClassVar[Sequence[str]] = (EVERYTHING, *(state.value for state in State))

    def __init__(self, results: EvalResults, chosen: Chosen | None = None) -> None:
        super().__init__(results.tasks, chosen)
        self.results = results
        """The evaluation, with the answers that have come."""

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
            self.results, self.tasks = found, found.tasks
            self.tell(progress(found))
            self.again()

    def size_rules(self) -> Sequence[str]:
        """Return the size rules that occur."""
        return size_rules(self.results.tasks)

    def heading(self, cells: int) -> Row:
        """Write what stands above the tasks."""
        return task_heading(cells, self.wide, self.chosen.order, reverse=self.chosen.reverse)

    def row(self, found: TaskResult, cells: int) -> Row:
        """Write a task."""
        return task_row(found, cells, self.wide)

    def told_of(self, found: TaskResult) -> Row:
        """Write in a line what is known of a task."""
        sign = f"  {GLYPHS[found.state]} {found.state.value}  "
        known = told(found) or printable(found.problem or "", 300)
        return [(printable(found.id, 40), "title"), (sign, STYLES[found.state]), (known, "muted")]

    def groups(self, found: TaskResult, *, demonstrations: bool) -> Sequence[Sequence[Group]]:
        """Return what may be shown of a task."""
        return result_groups(found, demonstrations=demonstrations)

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


class PairScreen(TasksScreen[PairedTask]):
    """Compares two evaluations.

    Args:
        pair: The evaluations.
        chosen: What is shown at first.
    """

    FILTERS: ClassVar[Sequence[str]] = (EVERYTHING, *(outcome.value for outcome in PairOutcome))
    FILTER_NAMES: ClassVar[Mapping[str, str]] = {PairOutcome.FIRST: "A alone", PairOutcome.SECOND: "B alone"}

    def __init__(self, pair: ResultsPair, chosen: Chosen | None = None) -> None:
        super().__init__(pair.tasks, chosen)
        self.pair = pair
        self._names = f"A {pair.first.name}", f"B {pair.second.name}"

    def on_mount(self) -> None:
        """Say what was asked otherwise."""
        notes = [*self.pair.first.notes, *self.pair.second.notes]
        if notes:
            self.tell(f"▲ {' '.join(notes)}", "warning")
        elif different := self.pair.differences():
            self.tell(f"Asked otherwise: {', '.join(different)}")

    def size_rules(self) -> Sequence[str]:
        """Return the size rules that occur."""
        return size_rules([*self.pair.first.tasks, *self.pair.second.tasks])

    def heading(self, cells: int) -> Row:
        """Write what stands above the tasks."""
        return pair_heading(cells, self.wide)

    def row(self, found: PairedTask, cells: int) -> Row:
        """Write a task."""
        return pair_row(found, cells, self.wide)

    def told_of(self, found: PairedTask) -> Row:
        """Write in a line what became of a task."""
        row: Row = [(printable(found.id, 40), "title")]
        for letter, one in zip("AB", (found.first, found.second), strict=True):
            row.append((f"  {letter} {GLYPHS[one.state]} {one.state.value}", STYLES[one.state]))
        return row

    def groups(self, found: PairedTask, *, demonstrations: bool) -> Sequence[Sequence[Group]]:
        """Return what may be shown of a task."""
        everything, brief = paired_groups(found, self._names)
        shown = [*everything, *demonstration_groups(found.first)] if demonstrations else everything
        return [shown, everything, brief, shown]

    def summary(self) -> tuple[Row, Row]:
        """Write which evaluations they are, and how many tasks each of them alone has solved."""
        first, second = self.pair.count(PairOutcome.FIRST), self.pair.count(PairOutcome.SECOND)
        told = f"A alone {first}, B alone {second}, p = {self.pair.p_value:.2g}, {len(self.pair.tasks)} tasks"
        a, b = self._names
        return [(a, "title"), ("  |  ", "accent"), (b, "title")], [(told, "text")]

    def scores(self) -> list[str]:
        """Write how many tasks each has solved."""
        lines = [f"{one.name}: {asked(one.assignment)}" for one in (self.pair.first, self.pair.second)]
        if different := self.pair.differences():
            lines.append(f"Asked otherwise: {', '.join(different)}")
        return [*lines, *counted_lines(self.pair)]
