"""Optimizer moments paired with their parameters: how far the next step would move each, for its size.

A healthy update moves a tensor by about a thousandth of its norm; far more is unstable, far less is idle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from arc_tui.inspect.tensors.binning import inner
from arc_tui.inspect.tensors.dtypes import decode_float64
from arc_tui.inspect.tensors.pieces import DataFiles, read_values
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.inspect.tensors.training import ParameterGroup

_OPTIMIZER = "optimizer."
_BACKBONE = "prompt.language_model.backbone."
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Where a parameter's moments are.

    Attributes:
        parameter: Its name in the checkpoint's table.
        place: Its place there; None if the checkpoint does not hold it.
        optimizer: `main` or `policy`.
        slots: Place of each slot, such as `exp_avg`, by its name.
    """

    parameter: str
    place: int | None
    optimizer: str
    slots: Mapping[str, int]


@dataclass(frozen=True)
class Update:
    """What a parameter's moments would do to it.

    Attributes:
        parameter: Its name.
        step: Steps that its moments have seen.
        learning_rate: Of its group.
        weight_norm: Of the parameter.
        update_norm: Of learning rate times first moment over root of second, both unbiased.
        first_norm: Of the first moment as stored.
        second_mean: Root of the mean of the second moment: the size of a usual gradient entry.
    """

    parameter: str
    step: float
    learning_rate: float
    weight_norm: float
    update_norm: float
    first_norm: float
    second_mean: float

    @property
    def ratio(self) -> float:
        """Update to weight; NaN for a parameter that is all 0."""
        return self.update_norm / self.weight_norm if self.weight_norm else math.nan


def pairs(checkpoint: Checkpoint) -> list[Moments]:
    """Pair every parameter that has moments with them, in the table's order."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for place, name in enumerate(checkpoint.table.names):
        if not name.startswith(_OPTIMIZER):
            continue
        optimizer, slash, rest = name.removeprefix(_OPTIMIZER).partition("/")
        parameter, colon, slot = rest.rpartition(":")
        if slash and colon:
            found.setdefault((optimizer, parameter), {})[slot] = place
    return [
        Moments(stored, checkpoint.places.get(stored), optimizer, slots)
        for (optimizer, parameter), slots in found.items()
        for stored in [_stored_name(parameter)]
    ]


def _stored_name(parameter: str) -> str:
    """Return where a parameter is kept: the language model's are in `lm/`, LoRA's beside the prompt."""
    if not parameter.startswith(_BACKBONE):
        return parameter
    inner = parameter.removeprefix(_BACKBONE)
    return f"prompt.adapter.{inner}" if ".lora_" in inner else f"lm.{inner.replace('.base_layer.', '.')}"


def group_of(moments: Moments, groups: tuple[ParameterGroup, ...]) -> ParameterGroup | None:
    """Return the parameter group that a parameter is in, by its component."""
    component = moments.parameter.split(".", 1)[0]
    if moments.parameter.startswith("prompt.adapter."):
        component = "lm"
    own = [group for group in groups if group.optimizer == moments.optimizer]
    named = [group for group in own if group.name == component]
    return named[0] if named else own[0] if len(own) == 1 else None


def updates(
    checkpoint: Checkpoint,
    groups: tuple[ParameterGroup, ...],
    only: str | None = None,
) -> Iterator[Update]:
    """Compute what the moments would do to each parameter.

    Args:
        checkpoint: A checkpoint of ours.
        groups: Its parameter groups.
        only: A parameter's name; None takes all that have Adam's two moments.

    Yields:
        One for each parameter, in the table's order.

    Raises:
        CheckpointError: If a file cannot be read to its end.
    """
    with DataFiles(checkpoint) as files:
        for found in pairs(checkpoint):
            if only is not None and found.parameter != only:
                continue
            group = group_of(found, groups)
            if (
                group is not None
                and found.place is not None
                and {"exp_avg", "exp_avg_sq"} <= found.slots.keys()
            ):
                update = _update(files, checkpoint, found, found.place, group)
                if update is not None:
                    yield update


def _update(
    files: DataFiles, checkpoint: Checkpoint, found: Moments, place: int, group: ParameterGroup
) -> Update | None:
    first, second = found.slots["exp_avg"], found.slots["exp_avg_sq"]
    table, places = checkpoint.table, (place, first, second)
    elements = [table.element(one) for one in places]
    if not table.parameters[place] == table.parameters[first] == table.parameters[second]:
        return None
    step = math.nan
    if "step" in found.slots and table.parameters[found.slots["step"]] == 1:
        step = float(read_values(checkpoint, found.slots["step"]).ravel()[0])
    one, two = _betas(group)
    # A moment's bias after `step` updates; 1 where the step is not known.
    unbias_first = 1 - one**step if step >= 1 else 1.0
    unbias_second = 1 - two**step if step >= 1 else 1.0
    epsilon = _setting(group, "eps", 1e-8)
    sums = np.zeros(4)
    with np.errstate(over="ignore", invalid="ignore"):
        for stretch in zip(*(files.blocks(one) for one in places), strict=True):
            weight, mean, square = map(decode_float64, elements, stretch)
            moved = (mean / unbias_first) / (np.sqrt(np.maximum(square, 0) / unbias_second) + epsilon)
            sums += [inner(weight, weight), inner(moved, moved), inner(mean, mean), square.sum()]
    norms = np.sqrt(np.maximum(sums, 0))
    count = max(int(table.parameters[place]), 1)
    return Update(
        found.parameter,
        step,
        group.learning_rate,
        float(norms[0]),
        float(norms[1]) * group.learning_rate,
        float(norms[2]),
        float(norms[3]) / math.sqrt(count),
    )


def _betas(group: ParameterGroup) -> tuple[float, float]:
    match group.settings.get("betas"):
        case [int() | float() as one, int() | float() as two]:
            return float(one), float(two)
        case _:
            return 0.9, 0.999


def _setting(group: ParameterGroup, name: str, default: float) -> float:
    value = group.settings.get(name)
    return float(cast(float, value)) if isinstance(value, int | float) else default
