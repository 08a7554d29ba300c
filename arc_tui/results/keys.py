"""Every key of the browser of results, written once; see `arc_tui.ui.browser_keys`."""

from __future__ import annotations

from arc_tui.ui.browser_keys import EVERYWHERE, Key, Sections

EVALS: tuple[Key, ...] = (
    Key(("enter",), "Enter", "open", "open", "Browse the chosen evaluation."),
    Key(("space",), "Space", "mark", "mark", "Mark an evaluation for comparison, or take the mark off."),
    Key(("c",), "c", "compare", "compare", "Compare the two marked ones, or the chosen one with the marked."),
)
TASKS: tuple[Key, ...] = (
    Key(("enter",), "Enter", "open", "grids", "Let the grids of the chosen task fill the screen."),
    Key(("f",), "f", "only", "filter", "Show all tasks, those solved, those failed, and so on."),
    Key(("z",), "z", "size", "size rule", "Show only tasks with the next size rule."),
    Key(("s",), "s", "sort", "sort", "Sort by id, by confidence, by the share of right cells."),
    Key(("r",), "r", "reverse", "", "Sort the other way round."),
    Key(("slash",), "/", "search", "search", "Show only tasks whose id holds a word."),
    Key(("i",), "i", "scores", "scores", "Show the scores and what was asked."),
    Key(("d",), "d", "demonstrations", "", "Leave out the demonstrations, or show them again."),
    Key(("g",), "g", "digits", "", "Write the digit into each cell of a grid, or leave it out."),
    Key(("c",), "c", "app.compare", "", "Compare with another evaluation; asks which."),
    Key(("tab",), "Tab", "other", "", "Go to the grids, to scroll them, or back to the list."),
)
TASK: tuple[Key, ...] = (
    Key(("left_square_bracket",), "[", "step(-1)", "previous", "Show the previous task of the list."),
    Key(("right_square_bracket",), "]", "step(1)", "next", "Show the next task of the list."),
    Key(("d",), "d", "demonstrations", "demonstrations", "Leave out the demonstrations, or show them again."),
    Key(("g",), "g", "digits", "digits", "Write the digit into each cell of a grid, or leave it out."),
)

SECTIONS: Sections = (
    ("Everywhere", EVERYWHERE),
    ("Evaluations", EVALS),
    ("Results", TASKS),
    ("One task", TASK),
)
"""What the help lists."""
