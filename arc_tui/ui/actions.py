"""Every action of every app: its id, keys, words, and what it calls, written once.

The table feeds the keys of the screens, the lines at their foot, help, palette, the user's `[keys]` and the
documentation. `tests/tui/ui/test_actions.py` holds each call against the screens and apps that hear it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Scope(enum.StrEnum):
    """Where an action's keys are heard: in every app, in one, on a screen, or in a chart."""

    EVERYWHERE = "everywhere"
    """On every screen; those with Ctrl in dialogs too, if the app does them."""
    CONSOLE = "console"
    """On every screen of the console, likewise."""
    TOOLS = "tools"
    """On every screen of the browsers and of the task that is solved, likewise."""
    MAIN = "main"
    """On the console's main screen."""
    CHART = "chart"
    """In a chart that is focused, and on screens with a single one."""
    RUNS = "runs"
    """On the screen of runs."""
    COMPARE = "compare"
    """On the screen that compares runs."""
    TIMELINE = "timeline"
    """On the screen of a run's checkpoints."""
    BROWSER = "browser"
    """In the browser of a checkpoint."""
    TENSOR = "tensor"
    """On the screen of a tensor."""
    TRAINING = "training"
    """On the screen that tells where training stood."""
    CHANGES = "changes"
    """On the screen that compares two checkpoints."""
    DRIFT = "drift"
    """On the screen that tells how a layer has drifted."""
    EVALS = "evals"
    """On the list of evaluations."""
    TASKS = "tasks"
    """On the list of an evaluation's tasks."""
    TASK = "task"
    """On the screen of one task of an evaluation."""
    SOLVE = "solve"
    """On the screen of a task that is solved."""


CONSOLE = (Scope.CONSOLE, Scope.MAIN, Scope.RUNS, Scope.COMPARE, Scope.TIMELINE)
INSPECT = (Scope.TOOLS, Scope.BROWSER, Scope.TENSOR, Scope.TRAINING, Scope.CHANGES, Scope.DRIFT)
RESULTS = (Scope.TOOLS, Scope.EVALS, Scope.TASKS, Scope.TASK)
SOLVE = (Scope.TOOLS, Scope.SOLVE)
"""Where keys are heard in each app: first what its dialogs hear, then its screens."""

_TOOLS = (*INSPECT, *RESULTS[1:], *SOLVE[1:])
_PLACES = {
    Scope.EVERYWHERE: (*CONSOLE, *_TOOLS),
    Scope.CONSOLE: CONSOLE,
    Scope.TOOLS: _TOOLS,
    Scope.CHART: (Scope.CHART, Scope.COMPARE, Scope.TIMELINE),
}


@dataclass(frozen=True)
class Action:
    """One thing that the user can do.

    Attributes:
        id: Its name in the user's `[keys]`.
        keys: The default keys, as `arc_tui.ui.keys.key_name` spells them.
        label: A word or two for the foot of the screen.
        help: What it does, in one sentence.
        footer: Rank for a place at the foot of the screen, smallest first; None leaves it to the help.
        group: Heading of the help screen.
        scope: Where its keys are heard.
        call: What it calls: the method `action_` and this, of the screen, or of the chart for `Scope.CHART`.
        args: What that is called with.
        of_app: Whether it is a method of the app instead.
        steers: Whether it changes a run or writes files, which `--read-only` forbids.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    footer: int | None
    group: str
    scope: Scope
    call: str
    args: tuple[int, ...] = ()
    of_app: bool = False
    steers: bool = False

    @property
    def places(self) -> tuple[Scope, ...]:
        """The screens, dialogs and charts that hear it."""
        return _PLACES.get(self.scope, (self.scope,))


@dataclass(frozen=True)
class _Of:
    """Makes the actions of a scope and group; `prefix` is what their ids begin with."""

    scope: Scope
    group: str
    prefix: str = ""
    of_app: bool = False

    def __call__(
        self,
        name: str,
        keys: str,
        label: str,
        text: str,
        footer: int | None = None,
        call: str = "",
        args: tuple[int, ...] = (),
        *,
        steers: bool = False,
    ) -> Action:
        identity, given, method = self.prefix + name, tuple(keys.split()), call or name
        return Action(
            identity, given, label, text, footer, self.group, self.scope, method, args, self.of_app, steers
        )


PANEL_NAMES = {
    1: "Loss",
    2: "Reward",
    3: "Grids",
    4: "Curriculum and memory",
    5: "Fixes",
    6: "Gradients",
    7: "Machine",
    8: "Log",
}
"""The panels by their digit."""

_SCREENS, _CHECKPOINT, _EVERYWHERE = "Screens", "The browser of a checkpoint", "On every screen"

_run = _Of(Scope.MAIN, "The run")
_leave = _Of(Scope.CONSOLE, "The run", of_app=True)
_panel = _Of(Scope.MAIN, "Panels")
_view = _Of(Scope.MAIN, "What is shown")
_chart = _Of(Scope.CHART, "What is shown")
_everywhere = _Of(Scope.EVERYWHERE, _EVERYWHERE)
_every_app = _Of(Scope.EVERYWHERE, _EVERYWHERE, of_app=True)
_tools = _Of(Scope.TOOLS, _EVERYWHERE, of_app=True)
_console = _Of(Scope.CONSOLE, _SCREENS, of_app=True)
_runs = _Of(Scope.RUNS, "On the screen of runs", "runs_")
_compare = _Of(Scope.COMPARE, "Comparing runs", "compare_")
_timeline = _Of(Scope.TIMELINE, "On the screen of checkpoints", "timeline_")
_browser = _Of(Scope.BROWSER, _CHECKPOINT, "browser_")
_browser_app = _Of(Scope.BROWSER, _CHECKPOINT, "browser_", of_app=True)
_tensor = _Of(Scope.TENSOR, "A tensor", "tensor_")
_training = _Of(Scope.TRAINING, "Where training stood", "training_")
_changes = _Of(Scope.CHANGES, "Comparing two checkpoints", "changes_")
_drift = _Of(Scope.DRIFT, "How a layer has drifted", "drift_")
_evals = _Of(Scope.EVALS, "The list of evaluations", "evals_")
_tasks = _Of(Scope.TASKS, "The tasks of an evaluation", "tasks_")
_tasks_app = _Of(Scope.TASKS, "The tasks of an evaluation", "tasks_", of_app=True)
_task = _Of(Scope.TASK, "One task of an evaluation", "task_")
_solve = _Of(Scope.SOLVE, "While a task is solved", "solve_")

_BACK = "Leave what is searched, enlarged or pointed at, call off what is computed, or leave the screen."
_LOG = "Draw on a logarithmic scale, or a linear one."
_MEAN = "Draw the mean of runs that differ in their seed alone, in their range, or each run by itself."
_DIGITS = "Write the digit into each cell of a grid, or leave it out."
_DEMONSTRATIONS = "Leave out the demonstrations, or show them again."
_HISTOGRAM = "Draw the histogram by values, or by powers of two."
_TURN = "Sort the other way round."

ACTIONS: tuple[Action, ...] = (
    _run(
        "pause",
        "p",
        "pause",
        "Pause training, or go on; start a run again that has no process.",
        1,
        steers=True,
    ),
    _run("checkpoint", "c", "checkpoint", "Save a checkpoint now.", 2, steers=True),
    _run("validate", "v", "validate", "Validate now.", 3, steers=True),
    _run("edit", "e", "edit", "Edit a learning rate or the checkpoint interval.", 6, steers=True),
    _run("stop", "s", "stop", "Save a checkpoint and end the run; asks first.", 8, steers=True),
    _leave("detach", "q d ctrl+q ctrl+c", "detach", "Leave the console; the run goes on.", 5, "leave"),
    *(
        _panel(
            f"panel_{digit}", str(digit), name, f"Show and focus the panel {name}.", None, "panel", (digit,)
        )
        for digit, name in PANEL_NAMES.items()
    ),
    _panel("next_panel", "tab", "next panel", "Go to the next panel.", None, "turn_panel", (1,)),
    _panel(
        "previous_panel", "shift+tab", "panel before", "Go to the panel before.", None, "turn_panel", (-1,)
    ),
    _panel("enlarge", "+ enter", "enlarge", "Let the focused panel fill the screen, or shrink it.", 7),
    _view("older_sample", "[", "older", "Show an older sample's grids.", 9),
    _view("newer_sample", "]", "newer", "Show a newer sample's grids."),
    _view("live", "l", "live", "Follow the newest numbers and grids again.", 12),
    _view("log_scale", "y", "log scale", "Draw the charts on a logarithmic scale, or a linear one."),
    _view("grid_digits", "g", "digits", _DIGITS),
    _view("filter", "/", "filter", "Filter the log by a word."),
    _view("seen", "w", "seen", "Mark the warnings shown above as seen."),
    _chart("cursor_left", "left", "cursor left", "Move the chart's cursor to the left."),
    _chart("cursor_right", "right", "cursor right", "Move the chart's cursor to the right."),
    _chart("cursor_home", "home", "first step", "Move the chart's cursor to the first step shown."),
    _chart("cursor_end", "end", "last step", "Move the chart's cursor to the last step shown."),
    _chart("zoom_in", ".", "closer", "Show fewer steps in the chart."),
    _chart("zoom_out", ",", "wider", "Show more steps in the chart."),
    _everywhere("back", "escape", "back", _BACK),
    _every_app("theme", "t", "theme", "Take the next theme.", 11),
    _every_app("screenshot", "ctrl+s", "screenshot", "Save the screen as an SVG file."),
    _every_app("copy", "C", "copy", "Copy what the mouse has selected, else what is under the cursor."),
    _console("runs", "r", "runs", "Browse, attach to, resume and compare runs.", 10),
    _console("timeline", "k", "checkpoints", "Show the checkpoints of this run."),
    _every_app("help", "?", "help", "Show all keys.", 4),
    _tools(
        "quit", "q ctrl+q ctrl+c", "quit", "Leave the browser, or the task that is solved.", None, "leave"
    ),
    _console("palette", "ctrl+p", "palette", "Find any action by its words.", None, "command_palette"),
    _runs("attach", "enter", "attach", "Show the chosen run.", 1),
    _runs("mark", "space", "mark", "Mark a run for comparison, or take the mark off.", 2),
    _runs("compare", "c", "compare", "Compare the marked runs, or the chosen one with the one shown.", 3),
    _runs("mark_all", "a", "mark all", "Mark all runs that are shown, or take their marks off.", 6),
    _runs("go_on", "o", "go on", "Start a run again that has no process; asks first.", 4, steers=True),
    _runs("filter", "/", "filter", "Show only runs whose name holds a word.", 5),
    _compare("previous", "[", "previous", "Compare by the previous number.", 1),
    _compare("next", "]", "next number", "Compare by the next number.", 2),
    _compare("log_scale", "y", "log scale", _LOG, 3),
    _compare("mean", "m", "mean", _MEAN, 4),
    _timeline(
        "open", "enter", "open", "Browse what is in the checkpoint; leaving the browser comes back here.", 1
    ),
    _timeline("verify", "v", "verify", "Hold the files of the checkpoint against its manifest.", 5),
    _timeline("resume", "o", "go on", "Go on with the run from this checkpoint; asks first.", 2, steers=True),
    _timeline(
        "branch", "b", "branch", "Begin a new run from this checkpoint; asks for its name.", 3, steers=True
    ),
    _timeline("log_scale", "y", "log scale", _LOG, 4),
    _browser("open", "enter", "open", "Open a module or close it; show a tensor's values.", 1),
    _browser("unfold", "right", "unfold", "Open a module."),
    _browser("fold", "left", "fold", "Close a module, or go to the one around it."),
    _browser("search", "/", "search", "Search names: words, type:bf16, size>10MB, has:nan.", 2),
    _browser("view", "v", "table", "Change between the tree and a table of tensors.", 3),
    _browser("sort", "s", "sort", "Sort the table by the next column.", 4),
    _browser("reverse", "r", "reverse", _TURN),
    _browser(
        "statistics", "a", "statistics", "Compute the statistics of all tensors shown, in the background.", 5
    ),
    _browser_app(
        "training", "i", "training", "Show epoch, metrics, rates, memory, preference and configuration.", 6
    ),
    _browser_app(
        "timeline", "k", "timeline", "Show the run's checkpoints and how the chosen layer has drifted.", 7
    ),
    _browser_app("compare", "d", "compare", "Compare with another checkpoint; asks which.", 8),
    _browser_app("verify", "V", "verify", "Hold every file against the manifest.", 9),
    _browser_app(
        "export",
        "x",
        "export",
        "Copy the chosen component or module to a folder; asks which.",
        10,
        steers=True,
    ),
    _browser("scale", "y", "scale", _HISTOGRAM),
    _tensor("up", "up", "up", "Move the cursor up.", None, "move", (-1, 0)),
    _tensor("down", "down", "down", "Move the cursor down.", None, "move", (1, 0)),
    _tensor("left", "left", "left", "Move the cursor to the left.", None, "move", (0, -1)),
    _tensor("right", "right", "right", "Move the cursor to the right.", None, "move", (0, 1)),
    _tensor("page_up", "pageup", "page up", "Move up by a screen.", None, "page", (-1, 0)),
    _tensor("page_down", "pagedown", "page", "Move down by a screen.", 1, "page", (1, 0)),
    _tensor("page_left", ", ctrl+left", "page left", "Move to the left by a screen.", None, "page", (0, -1)),
    _tensor("page_right", ". ctrl+right", "across", "Move to the right by a screen.", 2, "page", (0, 1)),
    _tensor("first", "home", "first", "Go to the first element.", None, "jump", (0,)),
    _tensor("last", "end", "last", "Go to the last element.", None, "jump", (1,)),
    _tensor("odd", "n", "next NaN", "Go to the next of the first NaN and infinite elements.", 3),
    _tensor("scale", "y", "scale", _HISTOGRAM, 4),
    _training("other", "tab", "other side", "Go to the other list.", 1),
    _training("open", "enter", "open", "Show what the chosen line is about.", 2),
    _changes(
        "weights", "w", "weights only", "Leave out optimizer, memory and generators, or show them again.", 1
    ),
    _changes("sort", "s", "sort", "Sort by the next column.", 2),
    _changes("reverse", "r", "reverse", _TURN, 3),
    _drift("open", "enter", "open", "Browse this checkpoint.", 1),
    _drift("compare", "c", "compare", "Compare the checkpoint that is browsed with this one.", 2),
    _drift("metric", "m", "metric", "Show the next metric beside the drift.", 3),
    _drift(
        "resume",
        "o",
        "go on",
        "Leave, and go on with the run from this checkpoint; asks first.",
        4,
        steers=True,
    ),
    _drift(
        "branch",
        "b",
        "branch",
        "Leave, and begin a new run from this checkpoint; asks for its name.",
        5,
        steers=True,
    ),
    _evals("open", "enter", "open", "Browse the chosen evaluation.", 1),
    _evals("mark", "space", "mark", "Mark an evaluation for comparison, or take the mark off.", 2),
    _evals("compare", "c", "compare", "Compare the two marked ones, or the chosen one with the marked.", 3),
    _tasks("open", "enter", "grids", "Let the grids of the chosen task fill the screen.", 1),
    _tasks("only", "f", "filter", "Show all tasks, those solved, those failed, and so on.", 2),
    _tasks("size", "z", "size rule", "Show only tasks with the next size rule.", 3),
    _tasks("sort", "s", "sort", "Sort by id, by confidence, by the share of right cells.", 4),
    _tasks("reverse", "r", "reverse", _TURN),
    _tasks("search", "/", "search", "Show only tasks whose id holds a word.", 5),
    _tasks("scores", "i", "scores", "Show the scores and what was asked.", 6),
    _tasks("demonstrations", "d", "demonstrations", _DEMONSTRATIONS),
    _tasks("digits", "g", "digits", _DIGITS),
    _tasks_app("compare", "c", "compare", "Compare with another evaluation; asks which."),
    _tasks("other", "tab", "other side", "Go to the grids, to scroll them, or back to the list."),
    _task("previous", "[", "previous", "Show the previous task of the list.", 1, "step", (-1,)),
    _task("next", "]", "next", "Show the next task of the list.", 2, "step", (1,)),
    _task("demonstrations", "d", "demonstrations", _DEMONSTRATIONS, 3),
    _task("digits", "g", "digits", _DIGITS, 4),
    *(
        _solve(
            f"panel_{digit}",
            str(digit),
            name,
            f"Show the panel {name}, where not all are shown.",
            None,
            "panel",
            (digit,),
        )
        for digit, name in enumerate(("Loss", "Fit and votes", "Grids"), 1)
    ),
    _solve("previous_pair", "[", "pair before", "Show the pair before alone.", None, "pick", (-1,)),
    _solve("next_pair", "]", "one pair", "Show one pair alone, and the next one then.", 1, "pick", (1,)),
    _solve("earlier", "left", "earlier", "Show what was predicted earlier.", 2, "look", (-1,)),
    _solve("later", "right", "later", "Show what was predicted later.", None, "look", (1,)),
    _solve("first", "home", "first", "Show the first prediction."),
    _solve("live", "l end", "live", "Follow the newest prediction again.", 3),
    _solve("enlarge", "+ enter", "enlarge", "Let the grids fill the screen, or shrink them.", 4),
    _solve("digits", "g", "digits", _DIGITS, 5),
    _solve("scale", "y", "log scale", "Draw the loss on a logarithmic scale, or a linear one."),
)
"""All actions, in the order of the help screen and of the keys at the foot of a screen."""
