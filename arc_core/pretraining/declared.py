"""What the steps of a pretraining run carry; without torch, as consoles read older runs by it."""

from __future__ import annotations

from collections.abc import Mapping

from arc_core.run.declared import (
    Declared,
    GridForm,
    GroupKind,
    Number,
    NumberGroup,
    ShownNumber,
    trained_groups,
)


def declared_by(config: Mapping[str, object]) -> Declared:
    """Return what such a run carries, which no setting changes."""
    del config
    gradients, rates, precision = trained_groups(("agent",))
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
        step_line=(
            ShownNumber("Loss", "loss.efe_total", ".3f"),
            ShownNumber("Cells", "accuracy.cell", ".3f"),
        ),
        epoch_lines=(
            ShownNumber("Average Loss", "loss.efe_total", ".3f"),
            ShownNumber("Cells Right", "accuracy.cell", ".4f"),
            ShownNumber("Pairs Exact", "accuracy.exact", ".4f"),
        ),
        epoch_line=(
            ShownNumber("loss", "loss.efe_total", ".3f"),
            ShownNumber("cells", "accuracy.cell", ".4f"),
            ShownNumber("exact", "accuracy.exact", ".4f"),
        ),
        metrics={"loss": "loss.efe_total", "cell_accuracy": "accuracy.cell", "exact": "accuracy.exact"},
    )  # fmt: skip
