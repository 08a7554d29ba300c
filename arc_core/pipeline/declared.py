"""What the steps of the seed's pipeline carry; without torch, as consoles read older runs by it."""

from __future__ import annotations

from collections.abc import Mapping

from arc_core.pipeline.config import CANVAS
from arc_core.pipeline.curriculum import SizeWarmupCurriculum
from arc_core.run.declared import (
    Declared,
    GridForm,
    GroupKind,
    Number,
    NumberGroup,
    ShownNumber,
    trained_groups,
)
from arc_core.run.presets import SOLVER

COMPONENTS = ("agent", "lm", "memory", "efe_loss", "policy")
"""Parameter groups of the optimizers."""

LOSS_TERMS = ("risk", "ambiguity", "step", "consistency", "bidirectional", "z_anchor", "prompt", "size")
"""Contributions to the EFE loss."""

WEIGHTS = {
    "risk": "lambda_risk",
    "ambiguity": "lambda_amb",
    "step": "lambda_step",
    "consistency": "lambda_cons",
    "bidirectional": "lambda_bi",
    "z_anchor": "lambda_z",
    "prompt": "lambda_prompt",
    "size": "lambda_size",
}
"""The setting that each contribution has its weight from."""

FIXES = "fixes"
"""The judge of the seed's seven fixes."""

STEP_LINE = (
    ShownNumber("EFE_Loss", "loss.efe_total", ".3f"),
    ShownNumber("d_acc", "reward.d_acc", "+.3f"),
    ShownNumber("Qwen_grad", "grad_norm.lm", ".2e"),
    ShownNumber("Mask", "hard_cells.mask_ratio", ".3f"),
)
"""The seed's line of a step."""

EPOCH_LINES = (
    ShownNumber("Average EFE Loss", "loss.efe_total", ".3f"),
    ShownNumber("Average RL Reward", "reward.total", "+.4f"),
    ShownNumber("LM Gradient Norm", "grad_norm.lm", ".2e"),
    ShownNumber("Size Warmup Weight", "curriculum.size_weight", ".3f"),
    ShownNumber("Memory Threshold", "memory.threshold", ".4f"),
)
"""The seed's summary of an epoch."""

EPOCH_LINE = (
    ShownNumber("loss", "loss.combined", ".3f"),
    ShownNumber("EFE", "loss.efe_total", ".3f"),
    ShownNumber("reward", "reward.total", "+.4f"),
    ShownNumber("cells", "accuracy.cell", ".4f"),
)
"""The same in a line."""


def declared_by(config: Mapping[str, object]) -> Declared:
    """Return what a run of these settings carries, by their names; those that are missing count as usual.

    Runs of the recipe `solver`, by which earlier versions pretrained, are known too.
    """
    if config.get("recipe") == SOLVER:
        return _declared_by_solver()
    gradients, rates, precision = trained_groups(components_of(config))
    lm = config.get("lm")
    return Declared(
        groups=(
            NumberGroup.of(
                "loss", GroupKind.CONTRIBUTIONS, *terms_of(config),
                Number("efe_total", "EFE total"), "combined",
                totals=("efe_total", "combined"), charted=("loss.combined", "loss.efe_total"),
            ),
            _reward(),
            NumberGroup.of("hard_cells", GroupKind.SERIES, Number("mask_ratio", "wrong cells"), quiet=True),
            _curriculum(config),
            _memory(config),
            gradients,
            precision,
            rates,
            NumberGroup.of("accuracy", GroupKind.SERIES, Number("cell", "accuracy"), "exact", quiet=True),
        ),
        grids=(
            GridForm("input"),
            GridForm("before", judged=True),
            GridForm("after", judged=True),
            GridForm("target"),
        ),
        target="target",
        claims={"lm": lm} if isinstance(lm, str) else {},
        judge=FIXES,
        step_line=STEP_LINE,
        epoch_lines=EPOCH_LINES,
        epoch_line=EPOCH_LINE,
        metrics={
            "loss": "loss.combined",
            "cell_accuracy": "accuracy.cell",
            "exact": "accuracy.exact",
            "reward": "reward.total",
        },
    )  # fmt: skip


def _declared_by_solver() -> Declared:
    """What runs of the recipe `solver` carried, by which earlier versions pretrained the agent."""
    gradients, rates, precision = trained_groups(("agent",))
    shown = (
        ("loss", "loss.efe_total", ".3f"),
        ("cells", "accuracy.cell", ".4f"),
        ("exact", "accuracy.exact", ".4f"),
    )
    return Declared(
        groups=(
            NumberGroup.of(
                "loss", GroupKind.CONTRIBUTIONS,
                Number("consistency", "cells"), "size", Number("efe_total", "total"), totals=("efe_total",),
            ),
            NumberGroup.of("accuracy", GroupKind.SERIES, Number("cell", "cells"), "exact"),
            gradients,
            precision,
            rates,
        ),
        grids=(
            GridForm("input"),
            GridForm("before", "first step", judged=True),
            GridForm("after", "last step", judged=True),
            GridForm("target"),
        ),
        target="target",
        step_line=tuple(ShownNumber(*one) for one in shown),
        epoch_line=tuple(ShownNumber(*one) for one in shown),
        metrics={"loss": "loss.efe_total", "cell_accuracy": "accuracy.cell", "exact": "accuracy.exact"},
    )  # fmt: skip


def terms_of(config: Mapping[str, object]) -> tuple[str, ...]:
    """The contributions that are told: by a planner on the outputs' canvas those that have a weight."""
    if config.get("planner") != CANVAS:
        return LOSS_TERMS
    return tuple(term for term in LOSS_TERMS if config.get(WEIGHTS[term]) != 0)


def components_of(config: Mapping[str, object]) -> tuple[str, ...]:
    """The components whose gradients are told, likewise those that anything trains."""
    if config.get("planner") != CANVAS:
        return COMPONENTS
    trains = {
        "memory": config.get("memory") is not False,
        "efe_loss": bool({"risk", "z_anchor", "prompt"} & set(terms_of(config))),
        "policy": config.get("refine") is not False,
    }
    return tuple(name for name in COMPONENTS if trains.get(name, True))


def _reward() -> NumberGroup:
    """Means over the batch; total = d_acc + 0.5 (d_size + d_color + d_rev)."""
    parts = (
        Number("total"),
        Number("d_acc", "accuracy"),
        Number("d_size", "size", 0.5),
        Number("d_color", "colour", 0.5),
        Number("d_rev", "reversibility", 0.5),
    )
    return NumberGroup("reward", GroupKind.SIGNED, parts, totals=("total",))


def _curriculum(config: Mapping[str, object]) -> NumberGroup:
    course = SizeWarmupCurriculum.skipped() if config.get("size_warmup") is False else SizeWarmupCurriculum()
    ahead = tuple(course.get_size_loss_weight(epoch) for epoch in range(course.warmup_epochs + 1))
    return NumberGroup.of("curriculum", GroupKind.SCHEDULE, Number("size_weight", "size weight"), ahead=ahead)


def _memory(config: Mapping[str, object]) -> NumberGroup:
    """State of the memory after a step; `stored` counts this step's pairs."""
    capacity = config.get("memory_capacity")
    most = float(capacity) if isinstance(capacity, int) and not isinstance(capacity, bool) else None
    return NumberGroup(
        "memory",
        GroupKind.COUNTERS,
        (
            Number("ema", "mean"),
            Number("threshold"),
            Number("entries", whole=True, most=most),
            Number("stored", whole=True),
        ),
        drawn=("memory.threshold", "memory.ema", "accuracy.cell", "memory.stored", "memory.entries"),
        charted=("memory.threshold", "accuracy.cell"),
        note="the memory is turned off" if config.get("memory") is False else "",
    )
