"""The Hugging Face Trainer told as a run: its logs are steps, and it obeys commands between its steps."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from safetensors import SafetensorError, safe_open
from transformers import TrainerControl, TrainerState, TrainingArguments

from arc_core.base.errors import TrackError
from arc_core.base.options import Value
from arc_core.base.paths import files_below
from arc_core.tracking.opening import open_tracked, plan_of
from arc_core.tracking.settings import LiveSettings, TrackOptions, checked_config
from arc_core.tracking.telling import ToldRun

_ARGUMENTS = (
    *("learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs"),
    *("max_steps", "weight_decay", "warmup_steps", "lr_scheduler_type", "optim", "max_grad_norm", "seed"),
    *("bf16", "fp16"),
)
"""Arguments of the Trainer that run.json keeps as settings."""

_PACE = ("_runtime", "_per_second", "total_flos")
_STEPS, _NEVER = "steps", "no"


class _TrainerRun(ToldRun):
    """The Trainer's run; the Trainer itself saves.

    Attributes:
        save_wanted: Why the Trainer is to save at this step boundary; empty where it is not.
    """

    save_wanted = ""
    _requested: float | None = None

    @property
    def _saves(self) -> bool:
        return True

    def _save(self, reason: str) -> None:
        self.save_wanted = reason

    @property
    def _leaves_pause(self) -> bool:
        return bool(self.save_wanted)

    def begin(self, step: int, epoch: int, batch: int, plan: Mapping[str, object]) -> None:
        """Tell that it begins or goes on after a step."""
        progress = self._start.progress
        progress.step, progress.epoch, progress.batch = step, epoch, batch
        self._run.update(plan=dict(plan))
        self._told = step
        self._began()

    def at_step(self, step: int, items: int) -> bool:
        """Count a step and obey; False when the run is to end."""
        self._advance(step, items)
        return self.keeps_going()

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints, as it is now."""
        return self._start.progress.checkpoint_every

    def end_epoch(self) -> None:
        """Tell the means of an epoch."""
        self._end_epoch()

    def request_save(self, reason: str) -> None:
        """Tell that the Trainer is about to save."""
        self._requested = time.monotonic()
        self._tell_save("requested", self.save_wanted or reason, None)

    def tell_saved(self, folder: Path, reason: str) -> None:
        """Tell that it has saved, and whether what it wrote can be read."""
        if self._requested is None:
            self.request_save(reason)
        reason, self.save_wanted = self.save_wanted or reason, ""
        problem = _problem_of(folder)
        size = sum(path.stat().st_size for path in files_below(folder))
        if not problem:
            self._tell_save("saved", reason, size)
        self._tell_save("failed" if problem else "verified", problem or reason, None if problem else size)
        self._requested = None

    def _tell_save(self, phase: str, reason: str, size: int | None) -> None:
        began = self._requested
        seconds = None if phase == "requested" or began is None else time.monotonic() - began
        step = self.step
        self._events.emit(
            "checkpoint", id=step, step=step, phase=phase, reason=reason, bytes=size, seconds=seconds
        )


class TrainerCallback(transformers.TrainerCallback):
    """Tells a `transformers.Trainer` as a run; `arc-tui pause`, `resume`, `checkpoint` and `stop` work on it.

    The numbers that the Trainer logs become steps, so there is one event for every `logging_steps`; what it
    evaluates becomes validations, the best by `metric_for_best_model`, else by the least loss. Checkpoints
    are the Trainer's own, in its folder, with the step as their number. Where it resumes from one of them, so
    does the run of this name. Where an exception ends the training and not the process, end the run by
    `callback.run.close(error)`.

    Args:
        name: The run's name; None names it after the time.
        config: Settings beside the Trainer's arguments, any JSON scalars.
        runs_dir: The folder of runs.

    Raises:
        TrackError: If a setting is none.
    """

    def __init__(
        self,
        name: str | None = None,
        config: Mapping[str, object] | None = None,
        *,
        runs_dir: str | Path = "runs",
    ) -> None:
        self._name, self._runs_dir = name, runs_dir
        self._own = checked_config(config or {})
        self._run: _TrainerRun | None = None
        self._in_epoch = False

    @property
    def run(self) -> _TrainerRun:
        """The run, while the Trainer trains."""
        if self._run is None:
            raise TrackError("The Trainer does not train: there is no run yet, or no more.")
        return self._run

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the run."""
        if args.world_size > 1:
            raise TrackError(f"The Trainer has {args.world_size} processes, but one alone can be steered.")
        options = TrackOptions(checkpoint_every=max(int(state.save_steps), 1)) if _by_steps(args) else None
        every: dict[str, Value] = {} if options is None else {"checkpoint_every": options.checkpoint_every}
        settings = {**_arguments(args), **self._own, **every}
        resumed = state.global_step > 0
        opened = open_tracked(self._runs_dir, self._name, settings, resumed and self._name is not None)
        batches = max(-(-state.max_steps // max(int(state.num_train_epochs), 1)), 1)
        model = kwargs.get("model")
        parameters = sum(each.numel() for each in model.parameters()) if model is not None else 0
        self._run = _TrainerRun(opened, options or TrackOptions(), LiveSettings(settings), None)
        self._in_epoch = False
        threads = self._run.threads
        plan = plan_of(batches, state.max_steps, threads, parameters) | {"device": str(args.device)}
        self._run.begin(state.global_step, state.global_step // batches, state.global_step % batches, plan)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell the epoch before, now that all its numbers are logged."""
        if self._in_epoch:
            self.run.end_epoch()
        self._in_epoch = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Obey commands."""
        run = self.run
        goes_on = run.at_step(state.global_step, args.train_batch_size * args.gradient_accumulation_steps)
        if _by_steps(args):
            state.save_steps = run.checkpoint_every
        if not goes_on:
            control.should_training_stop = True
            if args.save_strategy != _NEVER:
                control.should_save, run.save_wanted = True, run.save_wanted or "stop"
        if run.save_wanted:
            control.should_save = True
        if control.should_save:
            run.request_save("interval")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, object] | None = None,
        **kwargs: Any,
    ) -> None:
        """Tell what is logged of a step; what is evaluated and the summary of the end are told elsewhere."""
        numbers = _numbers(logs or {})
        ends = "train_runtime" in (logs or {})
        if self._run is None or ends or any(name.startswith("eval_") for name in numbers):
            return
        numbers.pop("epoch", None)
        if numbers and state.global_step > self._run.told:
            self._run.log(state.global_step, **numbers)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, object] | None = None,
        **kwargs: Any,
    ) -> None:
        """Tell a validation."""
        if self._run is None:
            return
        found = _numbers(metrics or {})
        wanted = args.metric_for_best_model
        best = wanted if wanted in found else f"eval_{wanted}"
        sign = 1.0 if args.greater_is_better else -1.0
        if best not in found:
            best, sign = "eval_loss", -1.0
        numbers = {name.removeprefix("eval_"): value for name, value in found.items() if name != "epoch"}
        if best in found:
            numbers["score"] = sign * found[best]
        self._run.validated(state.global_step, split="evaluation", **numbers)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell of a save that the epoch's end asks for."""
        if control.should_save:
            self.run.request_save("epoch")

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell of what the Trainer has saved, and stand still again if it was paused for it."""
        run = self.run
        folder = Path(args.output_dir or ".") / f"checkpoint-{state.global_step}"
        run.tell_saved(folder, "interval")
        while (goes_on := run.keeps_going()) and run.save_wanted:
            run.tell_saved(folder, "command")  # of this very step, so it is there already
        control.should_training_stop |= not goes_on

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell the end, and let go of the run."""
        run, self._run = self.run, None
        if state.epoch is not None and abs(state.epoch - round(state.epoch)) < 1e-6:
            run.end_epoch()
        run.close()


def _by_steps(args: TrainingArguments) -> bool:
    return args.save_strategy == _STEPS


def _arguments(args: TrainingArguments) -> dict[str, Value]:
    """Return the arguments that say how it trains, as JSON scalars."""
    found: dict[str, Value] = {}
    for name in _ARGUMENTS:
        value = getattr(args, name, None)
        value = getattr(value, "value", value)  # of an enumeration
        if isinstance(value, bool | int | float | str):
            found[name] = value
    return found


def _numbers(logs: Mapping[str, object]) -> dict[str, Any]:
    """Return what is a number and no pace, under names that an event can have."""
    return {
        re.sub(r"^(?![A-Za-z_])|[^A-Za-z0-9_/+-]", "_", name)[:60]: float(value)
        for name, value in logs.items()
        if isinstance(value, int | float) and not name.endswith(_PACE)
    }


def _problem_of(folder: Path) -> str:
    """Return why what the Trainer saved cannot be read; empty if it can."""
    files = [path for path in files_below(folder) if path.suffix == ".safetensors"]
    if not files_below(folder):
        return f"there is nothing in {folder}"
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                file.keys()
        except (SafetensorError, OSError) as error:
            return f"{path.name} cannot be read: {error}"
    return ""
