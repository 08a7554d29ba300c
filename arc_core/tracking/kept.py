"""What a tracked loop gives to be saved, and how a checkpoint of it is put back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from arc_core.base.errors import CheckpointError, TrackError
from arc_core.base.paths import is_file
from arc_core.base.text import is_printable, printable
from arc_core.checkpoints.restoring import OPTIMIZER, read_tensors, restore_models, restore_optimizers
from arc_core.checkpoints.snapshot import RNG, SnapshotTaker
from arc_core.run.checkpoint_index import FORMAT, STATE
from arc_core.run.declared import Declared
from arc_core.run.declared_json import DECLARED, declared_from_json, declared_to_json
from arc_core.tracking.passes import PASS
from arc_core.tracking.settings import RATE_OF_ALL, LiveSettings
from arc_core.training.optimizer import Schedule

_TAKEN = frozenset({"optimizer", "rng", "pass", "lm"})
"""Names that files of a checkpoint have already; an optimizer's label is no file."""

_FORM: dict[str, Any] = {"format": FORMAT, "files": [], "optimizer": {}, DECLARED: {}}
_SYSTEM: dict[str, Any] = {"rates": {}, "others": {}, "logs": 0, "own": None}


@runtime_checkable
class _Restorable(Protocol):
    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Any, /) -> object: ...


class Kept:
    """Modules and optimizers of a loop, with what else it can only go on from.

    Args:
        given: By name: modules, their optimizers, and whatever has a `state_dict` that JSON can hold, like a
            scheduler of the learning rate.
        settings: Of the loop; its learning rates are part of the state.
        state: Gives a state of the loop's own, which JSON can hold; None where there is none.
        restore: Takes it back.

    Attributes:
        schedule: A constant one: a loop has its own.
        declared: What its steps carry by now.
        pass_state: Of the random generators at the beginning of the present pass.
        logs: How often it has logged.

    Raises:
        TrackError: If something given cannot be kept; names it.
    """

    def __init__(
        self,
        given: Mapping[str, object],
        settings: LiveSettings,
        state: Callable[[], object] | None = None,
        restore: Callable[[Any], object] | None = None,
    ) -> None:
        if (state is None) != (restore is None):
            raise TrackError("saves takes state and restore together: one gives what the other takes back.")
        self.parts = {name: one for name, one in given.items() if isinstance(one, nn.Module)}
        self.optimizers = {name: one for name, one in given.items() if isinstance(one, torch.optim.Optimizer)}
        rest = given.keys() - self.parts.keys() - self.optimizers.keys()
        self._others: dict[str, _Restorable] = {}
        for name in sorted(rest):
            self._others[name] = _restorable(name, given[name])
        self._settings = settings
        self._state, self._restore = state, restore
        self.schedule = Schedule()
        self.declared = Declared()
        self.pass_state: Mapping[str, Tensor] = {}
        self.logs = 0
        _refuse_names(self.parts)
        _refuse_foreign_parameters(self.optimizers, self.parts)
        self.state()

    @property
    def parameters(self) -> int:
        """How many numbers its modules learn or hold."""
        return sum(each.numel() for module in self.parts.values() for each in module.parameters())

    def base_rates(self) -> dict[str, float]:
        """The learning rates among the settings, by name."""
        return self._settings.rates

    def set_base_rate(self, name: str, rate: float) -> None:
        """Set one; that of all the optimizers moves their groups and schedulers in proportion."""
        share = self._settings.set_rate(name, rate)
        if name not in RATE_OF_ALL:
            return
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                for key in ("lr", "initial_lr"):
                    if key in group:
                        group[key] = rate if math.isnan(share) else group[key] * share
        for other in self._others.values():
            if isinstance(rates := getattr(other, "base_lrs", None), list):
                scaled = [rate if math.isnan(share) else each * share for each in cast("list[float]", rates)]
                vars(other)["base_lrs"] = scaled

    def tensors(self) -> dict[str, Mapping[str, Tensor]]:
        """The live tensors by the path of their file."""
        files = {f"{name}.safetensors": module.state_dict() for name, module in self.parts.items()}
        return files | ({PASS: self.pass_state} if self.pass_state else {})

    def bookkeeping(self) -> dict[str, Any]:
        """What state.json keeps of it beside the tensors."""
        return {DECLARED: declared_to_json(self.declared)}

    def snapshot_taker(self) -> SnapshotTaker:
        """What takes snapshots of it."""
        return SnapshotTaker(self)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it beside the tensors.

        Raises:
            TrackError: If JSON cannot hold something; names it.
        """
        others = {name: _plain(other.state_dict(), name) for name, other in self._others.items()}
        own = None if self._state is None else _plain(self._state(), "state")
        return {"rates": self._settings.rates, "others": others, "logs": self.logs, "own": own}

    def restore(self, path: Path) -> dict[str, Any]:
        """Put a checkpoint back, its random generators aside.

        Returns:
            state.json.

        Raises:
            CheckpointError: If anything is missing or does not fit; names it.
        """
        live = {name: tensors for name, tensors in self.tensors().items() if name != PASS}
        form = _FORM | {"system": _SYSTEM | {"others": dict.fromkeys(self._others)}}
        state = restore_models(path, live, form)
        moments, _ = read_tensors(path / OPTIMIZER)
        restore_optimizers(self.optimizers, self.parts, state["optimizer"], moments)
        declared = declared_from_json(state[DECLARED])
        if declared is None:
            raise CheckpointError(f"{STATE}: its declaration is damaged")
        self.declared = declared
        system = state["system"]
        for name, other in self._others.items():
            other.load_state_dict(system["others"][name])
        for name, rate in system["rates"].items():
            if name in self._settings.rates:
                self._settings.set_rate(name, float(rate))
        self.logs = int(system["logs"])
        if self._restore is not None:
            self._restore(system["own"])
        return state


def random_states(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return a checkpoint's random state, and that of the beginning of its pass; empty if it had none.

    Raises:
        CheckpointError: If one cannot be read.
    """
    begun = read_tensors(path / PASS)[0] if is_file(path / PASS) else {}
    return read_tensors(path / RNG)[0], begun


def _restorable(name: str, one: object) -> _Restorable:
    if isinstance(one, _Restorable):
        return one
    raise TrackError(
        f"{printable(name, 60)} is a {type(one).__name__}, but saves keeps modules, optimizers and what has "
        "a state_dict: keep other things by state= and restore=."
    )


def _refuse_names(names: Iterable[str]) -> None:
    for name in names:
        if not name or not is_printable(name) or "/" in name or name.startswith(".") or name in _TAKEN:
            raise TrackError(f"A module cannot be saved as {printable(name, 60)!r}: take another name.")


def _refuse_foreign_parameters(
    optimizers: Mapping[str, torch.optim.Optimizer], parts: Mapping[str, nn.Module]
) -> None:
    known = {id(parameter) for module in parts.values() for parameter in module.parameters()}
    for name, optimizer in optimizers.items():
        if any(id(each) not in known for group in optimizer.param_groups for each in group["params"]):
            raise TrackError(
                f"The optimizer {printable(name, 60)} moves parameters of a module that saves was not given."
            )


def _plain(value: object, name: str) -> Any:
    """Return a state as JSON gives it back.

    Raises:
        TrackError: If it would be another one.
    """
    try:
        text = json.dumps(value, allow_nan=False)
        read = json.loads(text)
    except (TypeError, ValueError) as error:
        why = str(error)
    else:
        if _same_keys(value, read):
            return read
        why = "a key in it is no text"
    raise TrackError(
        f"The state of {printable(name, 60)} is not what JSON can hold ({printable(why, 100)}): keep tensors "
        "in a module, and the rest as texts, numbers, lists and objects by state= and restore=."
    )


def _same_keys(value: object, read: object) -> bool:
    """Whether no key of a state became another one as JSON."""
    if isinstance(value, Mapping):
        mapping, found = cast("Mapping[object, object]", value), cast("dict[str, object]", read)
        return all(isinstance(k, str) and _same_keys(v, found[k]) for k, v in mapping.items())
    if isinstance(value, list | tuple):
        return all(map(_same_keys, cast("list[object]", value), cast("list[object]", read)))
    return True
