"""Panel 7: CPU, memory, GPUs, and how many checkpoints the disk still holds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from arc_core.base.text import printable
from arc_tui.console.machine import Gpu, MachineSample
from arc_tui.console.panels.board import MACHINE
from arc_tui.console.panels.panel import RowsPanel
from arc_tui.drawing.bars import progress_bar, sparkline
from arc_tui.drawing.rows import Row, cut
from arc_tui.runs.fields import size
from arc_tui.runs.view import RunView

KEPT_SAMPLES = 120
FEW_CHECKPOINTS = 3
"""Room for fewer checkpoints than this is told as a warning."""

LABEL = 9
"""Cells of the words at the left."""


class MachinePanel(RowsPanel):
    """What the machine does; fed by samples, not by events."""

    DIGIT = MACHINE

    def __init__(self) -> None:
        super().__init__()
        self._samples: deque[MachineSample] = deque(maxlen=KEPT_SAMPLES)

    def take(self, sample: MachineSample) -> None:
        """Take in a new sample; the next `show_view` shows it."""
        self._samples.append(sample)

    def draw(self, view: RunView, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Draw the last sample."""
        if not self._samples:
            return [], [[("measuring …", "muted")]]
        rows = machine_rows(view, self._samples[-1], cells)
        past = past_rows(list(self._samples), cells)
        if len(rows) + len(past) < lines:
            rows += [[], *past]
        return _headline(self._samples[-1]), rows


def machine_rows(view: RunView, sample: MachineSample, cells: int) -> list[Row]:
    """Draw a sample: one line for each part of the machine."""
    rows = [row for gpu in sample.gpus for row in _gpu_rows(gpu, cells)]
    own = f", training {sample.process_cpu:.1f}" if sample.process_cpu is not None else ""
    rows.append(_row("cpu", sample.cpu, f"{sample.cpu:4.0%} of {sample.cores} cores{own}", cells))
    held = f", training {size(sample.process_memory)}" if sample.process_memory is not None else ""
    of_memory = f"{_amount(sample.memory_used, sample.memory_total)}{held}"
    rows.append(_row("memory", sample.memory_used / max(sample.memory_total, 1), of_memory, cells))
    rows.append(cut(_disk_row(view, sample), cells))
    if not sample.gpus:
        rows.append([("gpu".ljust(LABEL), "muted"), ("none that NVML knows", "muted")])
    return rows


def past_rows(samples: Sequence[MachineSample], cells: int) -> list[Row]:
    """Draw how busy processors and GPUs were over the last minutes, the newest at the right."""
    room = max(cells - LABEL, 1)
    kept = samples[-room:]
    curves = [("cpu", [sample.cpu for sample in kept])]
    for place, gpu in enumerate(kept[-1].gpus):
        busy = [sample.gpus[place].busy if place < len(sample.gpus) else None for sample in kept]
        curves.append((f"gpu {gpu.index}", [math.nan if share is None else share for share in busy]))
    looks = "one look" if len(kept) == 1 else f"the last {len(kept)} looks"
    title: Row = [(looks, "muted")]
    return [
        title,
        *([(name.ljust(LABEL), "muted"), (sparkline(np.array(past), room), "")] for name, past in curves),
    ]


def _gpu_rows(gpu: Gpu, cells: int) -> list[Row]:
    """Draw a GPU: how busy it is, and its memory."""
    extra = f" {gpu.watts:.0f} W" if gpu.watts is not None else ""
    extra += f" {gpu.celsius:.0f} °C" if gpu.celsius is not None else ""
    busy = "not told" if gpu.busy is None else f"{gpu.busy:4.0%}"
    name = printable(gpu.name.removeprefix("NVIDIA "), 24)
    rows = [_row(f"gpu {gpu.index}", gpu.busy or 0.0, f"{busy}{extra} {name}", cells)]
    if gpu.used is not None and gpu.total:
        rows.append(_row("  memory", gpu.used / gpu.total, _amount(gpu.used, gpu.total), cells))
    return rows


def _row(label: str, share: float, text: str, cells: int) -> Row:
    bar = max(0, min(12, cells - LABEL - len(text) - 1))
    row: Row = [(label.ljust(LABEL), "muted"), *progress_bar(share, bar), (f" {text}" if bar else text, "")]
    return cut(row, cells)


def _disk_row(view: RunView, sample: MachineSample) -> Row:
    label = ("disk".ljust(LABEL), "muted")
    if sample.disk_free is None:
        return [label, ("free space is not known", "muted")]
    text = f"{size(sample.disk_free)} free"
    if view.facts.checkpoint_bytes is None:
        return [label, (text, "")]
    room = sample.disk_free // view.facts.checkpoint_bytes
    style = "warning" if room < FEW_CHECKPOINTS else ""
    sign = "▲ " if style else ""
    return [label, (f"{sign}{text}, {room:,} checkpoints", style)]


def _amount(used: float, total: float) -> str:
    return f"{used / 1e9:.1f}/{total / 1e9:.1f} GB"


def _headline(sample: MachineSample) -> Row:
    if sample.gpus and sample.gpus[0].busy is not None:
        return [(f"gpu {sample.gpus[0].busy:.0%}", "")]
    return [(f"cpu {sample.cpu:.0%}", "")]
