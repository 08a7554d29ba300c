"""Everything that is known of a checkpoint, as lines that are safe to print."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from arc_core.base.text import printable
from arc_tui.drawing.text import aligned, when
from arc_tui.inspect.facts import position, training_facts, type_facts
from arc_tui.inspect.tensors.binning import QUANTILES, Histogram, Magnitudes, Statistics
from arc_tui.inspect.tensors.compare import Change, Differences
from arc_tui.inspect.tensors.header_scan import Shape, sides
from arc_tui.inspect.tensors.moments import Update
from arc_tui.inspect.tensors.source import Checkpoint, metadata_of
from arc_tui.inspect.tensors.timeline import CheckpointMark, Drift
from arc_tui.inspect.tensors.tree import Node, Tree
from arc_tui.inspect.tensors.verify import FileCheck, conclusion
from arc_tui.runs.fields import duration, size

LONGEST_NAME = 120
LONGEST_VALUE = 160
"""Of metadata; all of it is in the JSON and in the browser."""
EIGHTHS = " ▏▎▍▌▋▊▉█"
HEIGHTS = " ▁▂▃▄▅▆▇█"


def bar(share: float, width: int) -> str:
    """Write a share from 0 to 1 as a bar of at most `width` cells, to the eighth of one."""
    eighths = round(max(0.0, min(share, 1.0)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (EIGHTHS[rest] if rest else "")


def figure(value: float) -> str:
    """Write a number of a tensor with five digits; a whole one as it is."""
    return str(value) if isinstance(value, int) else f"{value:.5g}"


def summary_lines(checkpoint: Checkpoint) -> list[str]:
    """Write what was opened and how much is in it."""
    table = checkpoint.table
    types = ", ".join(f"{name} {size(found['bytes'])}" for name, found in type_facts(checkpoint).items())
    lines = [
        f"{checkpoint.title}: {checkpoint.kind.value} {printable(str(checkpoint.path), 500)}",
        f"{len(table):,} tensors, {int(table.parameters.sum()):,} parameters, "
        f"{size(int(table.bytes.sum()))}: {types or 'nothing'}",
    ]
    lines += [f"Damaged: {problem}" for problem in checkpoint.problems]
    return lines + [f"Note: {note}" for note in checkpoint.notes]


def file_lines(checkpoint: Checkpoint) -> list[str]:
    """Write the files, damaged ones in their place."""
    counts = [int((checkpoint.owners == number).sum()) for number in range(len(checkpoint.parts))]
    rows = [
        (
            printable(part.label, LONGEST_NAME),
            f"{count:,} tensors" if part.header else part.state,
            "-" if part.bytes is None else size(part.bytes),
        )
        for part, count in zip(checkpoint.parts, counts, strict=True)
    ]
    return aligned(rows)


def metadata_lines(checkpoint: Checkpoint) -> list[str]:
    """Write the free text of the files' headers; what several files have is written once."""
    lines: list[str] = []
    for labels, metadata in metadata_of(checkpoint):
        named = len(checkpoint.parts) > 1
        if named:
            lines.append(
                f"{printable(labels[0], LONGEST_NAME)}{f' and {len(labels) - 1:,} more' * (len(labels) > 1)}"
            )
        lines += [
            f"{'  ' if named else ''}{printable(key, LONGEST_NAME)}: {printable(value, LONGEST_VALUE)}"
            for key, value in metadata.items()
        ]
    return lines


def tree_lines(tree: Tree, depth: int = 3) -> list[str]:
    """Write the modules down to a depth, with a bar of their share of all bytes."""
    rows: list[tuple[str, ...]] = []
    total = max(tree.root.bytes, 1)

    def add(node: Node, level: int) -> None:
        for child in tree.children(node):
            if child.is_tensor and level:
                continue
            label = "  " * level + printable(child.label, LONGEST_NAME)
            counts = f"{child.tensors:,}", f"{child.parameters:,}", size(child.bytes)
            rows.append((label, *counts, bar(child.bytes / total, 16)))
            if level + 1 < depth and not child.layers:
                add(child, level + 1)

    add(tree.root, 0)
    return aligned([("MODULE", "TENSORS", "PARAMETERS", "BYTES", ""), *rows], left=(0, 4))


def tensor_lines(checkpoint: Checkpoint, tree: Tree) -> list[str]:
    """Write every tensor in the tree's order."""
    table = checkpoint.table
    rows = [
        (
            printable(table.names[place], LONGEST_NAME),
            table.element(place).label,
            sides(table.shapes[place]),
            f"{int(table.parameters[place]):,}",
            size(int(table.bytes[place])),
        )
        for place in tree.places_in_order()
    ]
    return aligned([("TENSOR", "TYPE", "SHAPE", "PARAMETERS", "BYTES"), *rows], left=(0, 1, 2))


def statistics_lines(found: Statistics, shape: Shape) -> list[str]:
    """Write a tensor's statistics with both histograms."""
    lines = [
        f"{found.parameters:,} elements, {found.zeros:,} zeros, {found.nans:,} NaN, "
        f"{found.infinities:,} infinite"
    ]
    for what, places in (("NaN", found.first_nans), ("infinite", found.first_infinities)):
        if places:
            shown = " ".join(str(list(position(place, shape))) for place in places)
            lines.append(f"First {what} at {shown}")
    values = found.values
    if values is None:
        return [*lines, "There is no finite value."]
    lines += [
        f"mean {figure(values.mean)}  std {figure(values.std)}  "
        f"min {figure(values.minimum)}  max {figure(values.maximum)}",
        "quantiles  "
        + "  ".join(f"{q:.0%} {figure(v)}" for q, v in zip(QUANTILES, values.quantiles, strict=True)),
        f"values     {spark(values.histogram.counts)}  {_range(values.histogram)}",
        f"magnitude  {spark(values.magnitudes.counts)}  {_powers(values.magnitudes)}",
    ]
    return lines


def spark(counts: Sequence[int]) -> str:
    """Write counts as a row of bars; whatever is not 0 can be seen."""
    most = max(counts, default=0)
    return "".join(eighths(count, most) for count in counts)


def eighths(count: float, most: float, bars: int = 1, line: int = 1) -> str:
    """Return what a bar shows on a line, counted from 1 at the bottom; what is not 0 can be seen.

    Args:
        count: What the bar stands for.
        most: What fills all its lines.
        bars: How many these are.
        line: Which of them.
    """
    height = count / most * bars * 8 if most else 0.0
    if 0 < height < 1:
        height = 1
    return HEIGHTS[max(0, min(round(height) - (line - 1) * 8, 8))]


def _range(histogram: Histogram) -> str:
    return f"{figure(histogram.low)} to {figure(histogram.high)}"


def _powers(magnitudes: Magnitudes) -> str:
    last = magnitudes.lowest + len(magnitudes.counts)
    return f"2^{magnitudes.lowest} to 2^{last}" if magnitudes.counts else "only zeros"


def brief_statistics(name: str, kind: str, shape: Shape, found: Statistics) -> tuple[str, ...]:
    """Write a tensor's statistics as a row of a table."""
    values = found.values
    numbers = (
        ("-",) * 5
        if values is None
        else tuple(
            figure(v) for v in (values.mean, values.std, values.minimum, values.quantiles[3], values.maximum)
        )
    )
    odd = f"{found.nans:,}", f"{found.infinities:,}"
    return (printable(name, LONGEST_NAME), kind, sides(shape), *numbers, f"{found.zeros:,}", *odd)


STATISTICS_HEAD = ["TENSOR", "TYPE", "SHAPE", "MEAN", "STD", "MIN", "MEDIAN", "MAX", "ZEROS", "NAN", "INF"]


def training_lines(checkpoint: Checkpoint) -> list[str]:
    """Write where training stood; empty for a checkpoint that is not ours."""
    facts = training_facts(checkpoint)
    if facts is None:
        return []
    lines = [f"Damaged: {printable(problem, 500)}" for problem in facts["problems"]]
    lines.append(
        f"Step {_known(facts['step'])}, epoch {_known(facts['epoch'])}, batch {_known(facts['batch'])}, "
        f"trained for {duration(facts['elapsed_seconds'] or 0.0)} with {_known(facts['threads'])} threads"
    )
    if facts["saved_at"] is not None:
        lines.append(f"Saved {when(facts['saved_at'])}")
    metrics = ", ".join(f"{printable(name, 60)} {value:.4g}" for name, value in facts["metrics"].items())
    lines.append(f"Metrics: {metrics or '-'}")
    rates = ", ".join(
        f"{printable(str(group['name']), 60)} {group['learning_rate']:g}" for group in facts["groups"]
    )
    lines.append(
        f"Learning rates: {rates or '-'}; {facts['parameters_with_moments']} parameters have moments"
    )
    scaler = facts["scaler"].get("scale")
    lines.append(
        f"Autocast: {_known(facts['amp_dtype'])}, GradScaler {'off' if scaler is None else scaler}, "
        f"{_known(facts['skipped_steps'])} skipped steps"
    )
    if facts["memory_ema"] is not None:
        lines.append(
            f"Memory: {_known(facts['memory_entries'])} entries of {_known(facts['memory_stored'])} ever "
            f"stored, mean accuracy {facts['memory_ema']:.4f}, threshold {facts['memory_threshold']:.4f}"
        )
    if facts["preference"] is not None:
        shares = " ".join(f"{share:.3f}" for share in facts["preference"]["base"])
        lines.append(f"Preference of colours 0 to 9: {shares}")
    kinds = ", ".join(f"{printable(n, 60)} {size(b)}" for n, b in facts["random_generators"].items())
    lines.append(f"Random generators: {kinds or '-'}")
    if facts["other"]:
        lines.append("Also in its state: " + ", ".join(printable(str(name), 60) for name in facts["other"]))
    return lines


def _known(value: object) -> str:
    return "unknown" if value is None else printable(str(value), 60)


def update_lines(found: Iterable[Update]) -> list[str]:
    """Write moments, the largest update for its weight first."""
    ordered = sorted(found, key=lambda u: (-u.ratio if math.isfinite(u.ratio) else math.inf, u.parameter))
    rows = [
        (
            printable(u.parameter, LONGEST_NAME),
            f"{u.step:.0f}",
            f"{u.weight_norm:.4g}",
            f"{u.update_norm:.3g}",
            f"{u.ratio:.2e}",
            f"{u.second_mean:.2e}",
        )
        for u in ordered
    ]
    head = ("PARAMETER", "STEPS", "WEIGHT NORM", "UPDATE NORM", "RATIO", "GRADIENT")
    return aligned([head, *rows])


def change_lines(found: Differences, changed: Sequence[Change]) -> list[str]:
    """Write how two checkpoints differ, the largest change first."""
    lines = [f"+ {printable(name, LONGEST_NAME)}" for name in found.added]
    lines += [f"- {printable(name, LONGEST_NAME)}" for name in found.removed]
    lines += [
        f"~ {printable(one.name, LONGEST_NAME)} {sides(one.before)} is now {sides(one.after)}"
        for one in found.reshaped
    ]
    lines += [f"? {printable(name, LONGEST_NAME)} has a type that is not read" for name in found.unread]
    rows = [
        (
            printable(change.name, LONGEST_NAME),
            f"{change.relative:.3e}",
            f"{change.cosine:.6f}",
            f"{change.largest:.3e}",
            f"{change.unequal_nonfinite:,}" if change.unequal_nonfinite else "",
            " is now ".join(change.retyped) if change.retyped else "",
        )
        for change in changed
        if not change.is_none or change.retyped
    ]
    if rows:
        head = ("TENSOR", "RELATIVE", "COSINE", "LARGEST", "NOT FINITE", "TYPE")
        lines += aligned([head, *rows], left=(0, 5))
    same = sum(change.is_none for change in changed)
    return [*lines, f"{same:,} of {len(changed):,} compared tensors are the same, {len(rows):,} changed."]


def check_lines(found: Iterable[FileCheck]) -> list[str]:
    """Write what came of verifying."""
    files = list(found)
    rows = [(file.name, size(file.bytes), file.told) for file in files]
    return [*aligned(rows, left=(0, 2)), conclusion(files)]


def mark_lines(marks: Sequence[CheckpointMark]) -> list[str]:
    """Write a run's checkpoints, the oldest first."""
    names = sorted({name for mark in marks for name in mark.metrics} - {"step"})
    rows = [
        (
            f"{mark.number:05d}" + (" best" if mark.is_best else ""),
            "-" if mark.step is None else str(mark.step),
            "-" if mark.epoch is None else str(mark.epoch),
            size(mark.bytes),
            *(f"{mark.metrics[name]:.4g}" if name in mark.metrics else "-" for name in names),
        )
        for mark in marks
    ]
    head = ("CHECKPOINT", "STEP", "EPOCH", "BYTES", *(printable(name.upper(), 40) for name in names))
    return [*aligned([head, *rows]), *(f"Damaged: {mark.problem}" for mark in marks if mark.problem)]


def drift_lines(found: Sequence[Drift]) -> list[str]:
    """Write how far a layer has drifted."""
    rows = [
        (
            f"{one.mark.number:05d}",
            "-" if one.mark.step is None else str(one.mark.step),
            f"{one.since_first:.3e}",
            f"{one.since_last:.3e}",
            f"{one.cosine:.6f}",
            f"{one.largest:.3e}",
        )
        for one in found
    ]
    head = ("CHECKPOINT", "STEP", "SINCE FIRST", "SINCE LAST", "COSINE", "LARGEST")
    return [*aligned([head, *rows]), *(f"Damaged: {one.problem}" for one in found if one.problem)]
