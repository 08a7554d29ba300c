"""Whether each of the seed's seven fixes does its work, judged from what a run tells of itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from arc_core.base.loose import number
from arc_core.pipeline.curriculum import DynamicMemoryThreshold, SizeWarmupCurriculum
from arc_core.run.evidence import Work
from arc_tui.runs.view import RunView

EASY_MASK_RATIO = 0.01
"""Below this share of wrong cells the engine weighs all cells alike."""

SILENT_MEMORY_STEPS = 200
"""A run that has stored nothing after so many steps does not use its memory."""

RECENT_STEPS = 50
RISEN = 1.5
"""The prompt term fails if its mean over the last steps is so many times that of the last epoch."""

LARGEST_SKIPPED_SHARE = 0.1
TOLERANCE = 1e-3


SIGNS = {Work.WORKING: "●", Work.IDLE: "○", Work.FAILING: "✗"}
"""The glyph beside each state, as colour is never alone."""


@dataclass(frozen=True)
class Fix:
    """One of the seven, or another part of a run, as it stands.

    Attributes:
        number: 1 to 7, as the seed counts them; the place of a part that is none of the seven.
        name: In a few words.
        work: What it is doing.
        evidence: The number that shows it, short.
        reason: The same in a sentence.
    """

    number: int
    name: str
    work: Work
    evidence: str
    reason: str


NAMES = (
    "LM trains",
    "reward tied",
    "hard cells",
    "size warm-up",
    "memory",
    "prompt",
    "mixed precision",
)


def assess(view: RunView) -> tuple[Fix, ...]:
    """Judge all seven; before the first step all are idle."""
    if view.state.last_step is None:
        waits = (Work.IDLE, "-", "Waits for the first step.")
        return tuple(Fix(number, name, *waits) for number, name in enumerate(NAMES, 1))
    judged = zip(NAMES, _JUDGES, strict=True)
    return tuple(Fix(number, name, *judge(view)) for number, (name, judge) in enumerate(judged, 1))


_Verdict = tuple[Work, str, str]


def _language_model(view: RunView) -> _Verdict:
    norm = view.latest("grad_norm.lm")
    if view.facts.config.get("lm_train") == "frozen":
        return Work.IDLE, "frozen", "The language model is frozen (lm_train)."
    shown = f"{norm:.1e}"
    if not math.isfinite(norm):
        return Work.FAILING, shown, "Its last gradient was not finite: the step was skipped."
    if norm == 0:
        return Work.FAILING, shown, "The language model has no gradient."
    return Work.WORKING, shown, f"Gradient norm {shown}, before clipping."


def _reward(view: RunView) -> _Verdict:
    weight = _setting(view, "reward_weight", 0.3)
    total, efe, combined = (view.latest(name) for name in ("reward.total", "loss.efe_total", "loss.combined"))
    shown = f"{total:+.3f}"
    if weight == 0:
        return Work.IDLE, shown, "The reward has no share of the loss (reward_weight 0)."
    apart = abs(combined - ((1 - weight) * efe - weight * total))
    if not apart <= TOLERANCE * max(1.0, abs(combined)):
        return Work.FAILING, shown, "The loss is not what EFE loss and reward add up to."
    gain = _gain(view, "accuracy_delta", "delta")
    if gain is not None:
        return gain.verdict("Refining the prompt")
    return Work.WORKING, shown, f"Loss = {1 - weight:.1f} EFE - {weight:.1f} reward; the reward is {shown}."


def _hard_cells(view: RunView) -> _Verdict:
    ratio = view.latest("hard_cells.mask_ratio")
    shown = f"{ratio:.1%}"
    if not math.isfinite(ratio):
        return Work.FAILING, shown, "The share of wrong cells is not known."
    if _setting(view, "hard_cell_gain", 4.0) == 0:
        return Work.IDLE, shown, "All cells weigh alike (hard_cell_gain 0)."
    if ratio < EASY_MASK_RATIO:
        return Work.IDLE, shown, "Hardly a cell is wrong, so all weigh alike."
    return Work.WORKING, shown, f"{shown} of the cells are wrong and weigh more."


def _size_warmup(view: RunView) -> _Verdict:
    weight = view.latest("curriculum.size_weight")
    shown = f"{weight:.3f}"
    if view.facts.config.get("size_warmup") is False:
        return Work.IDLE, "off", f"The warm-up is turned off (size_warmup); the size term keeps {shown}."
    schedule = SizeWarmupCurriculum()
    due = schedule.get_size_loss_weight(view.state.epoch)
    if not abs(weight - due) <= TOLERANCE:
        return Work.FAILING, shown, f"The weight should be {due:.3f} in epoch {view.state.epoch}."
    if view.state.epoch >= schedule.warmup_epochs:
        return Work.IDLE, shown, f"The warm-up is over; the size term keeps {shown}."
    return (
        Work.WORKING,
        shown,
        f"The size term weighs {shown}, {schedule.end} from epoch {schedule.warmup_epochs}.",
    )


def _memory(view: RunView) -> _Verdict:
    entries, threshold = view.count("memory.entries"), view.latest("memory.threshold")
    shown = f"{entries:,} kept"
    if view.facts.config.get("memory") is False:
        return Work.IDLE, "off", "The memory is turned off."
    due = min(DynamicMemoryThreshold().margin * view.latest("memory.ema"), 1.0)
    if not abs(threshold - due) <= TOLERANCE:
        return Work.FAILING, shown, f"The threshold is {threshold:.3f}, but should be {due:.3f}."
    if entries == 0 and view.state.step >= SILENT_MEMORY_STEPS:
        return Work.FAILING, shown, f"No pair has reached the threshold of {threshold:.3f}."
    if entries == 0:
        return Work.IDLE, shown, f"No pair has reached the threshold of {threshold:.3f} yet."
    gain = _gain(view, "memory gain", "memory")
    if gain is not None:
        return gain.verdict(f"What {entries:,} kept pairs lend")
    return Work.WORKING, shown, f"{entries:,} pairs are kept; a new one needs {threshold:.3f}."


def _prompt(view: RunView) -> _Verdict:
    value = view.latest("loss.prompt")
    shown = f"{value:.3f}"
    if _setting(view, "lambda_prompt", 0.3) == 0:
        return Work.IDLE, "off", "The prompt term has no weight (lambda_prompt 0)."
    if not math.isfinite(value):
        return Work.FAILING, shown, "The prompt term is not finite."
    before = _last_epoch_mean(view)
    if before is None:
        return Work.WORKING, shown, f"The prompt's distance from its outcome is {shown}, weighted."
    lately = view.history.recent("loss.prompt", RECENT_STEPS, 1)
    if len(lately) and lately[-1] > RISEN * before:
        risen = f"The prompt term has risen from {before:.3f} to {lately[-1]:.3f} over {RECENT_STEPS} steps."
        return Work.FAILING, shown, risen
    return Work.WORKING, shown, f"The prompt term is {shown}; the last epoch's mean was {before:.3f}."


def _mixed_precision(view: RunView) -> _Verdict:
    step = view.state.last_step
    known = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
    dtype = str(step.group("amp").get("dtype")) if step is not None else ""
    shown = known.get(dtype, "-")
    skipped = view.count("amp.skipped_steps")
    if dtype not in known:
        return Work.FAILING, shown, "The number type is not known."
    if skipped > LARGEST_SKIPPED_SHARE * max(view.state.step, 10):
        return (
            Work.FAILING,
            f"{shown} -{skipped:,}",
            f"{skipped:,} of {view.state.step:,} steps were skipped.",
        )
    if dtype == "float32":
        return Work.IDLE, shown, "Everything is computed in float32."
    return Work.WORKING, shown, f"Autocast to {dtype}; {skipped:,} steps skipped."


@dataclass(frozen=True)
class _Gain:
    """What something has gained in the last validation, with its 95% interval."""

    mean: float
    low: float
    high: float

    def verdict(self, what: str) -> _Verdict:
        """Working where the whole interval is above 0, failing where it is below, else idle."""
        shown = f"{self.mean:+.2%}"
        told = f"{shown} of the validation's cells ({self.low:+.2%} to {self.high:+.2%})"
        if self.low > 0:
            return Work.WORKING, shown, f"{what} gains {told}."
        if self.high < 0:
            return Work.FAILING, shown, f"{what} costs cells: {told}."
        return Work.IDLE, shown, f"{what} gains nothing that can be told: {told}."


def _gain(view: RunView, mean: str, interval: str) -> _Gain | None:
    """The gain that the last validation has measured; None where it has not."""
    last = view.state.last_validation
    if last is None:
        return None
    numbers = last.group("numbers")
    middle = last.number(mean) if last.has(mean) else number(numbers, mean)
    low, high = (number(numbers, f"{interval} {end}") for end in ("from", "to"))
    return _Gain(middle, low, high) if all(map(math.isfinite, (middle, low, high))) else None


def _setting(view: RunView, name: str, default: float) -> float:
    value = view.facts.config.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def _last_epoch_mean(view: RunView) -> float | None:
    """Return the mean of the prompt term over the last epoch that ended; None before one has."""
    value = view.state.last_epoch.number("loss.prompt") if view.state.last_epoch is not None else math.nan
    return value if math.isfinite(value) else None


_JUDGES: tuple[Callable[[RunView], _Verdict], ...] = (
    _language_model,
    _reward,
    _hard_cells,
    _size_warmup,
    _memory,
    _prompt,
    _mixed_precision,
)
