"""One of two processes that train runs together, one after another: `python rank_worker.py FOLDER RUNS`.

RUNS is JSON: of each run its name, the step after which a rank asks to stop, or null, which rank, and what
settings are other ones now, `validated` among them to validate before the first step, and `compiled_by` the
backend by which this CPU compiles steps. What this process ends with is written to FOLDER/NAME.RANK.json.
"""

import contextlib
import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from small_run import stop_after

from arc_core.checkpoints.sharded import gathered, is_sharded
from arc_core.pipeline import compiling
from arc_core.run.directory import RunDirectory, RunLock, config_of
from arc_core.run.event_writer import UnwrittenEvents
from arc_core.run.events import EventWriter, next_seq
from arc_core.run.recipes import recipe_class
from arc_core.training.launching import World
from arc_core.training.loop import TrainingLoop
from arc_core.training.ranks import Ranks, joined


def main(folder: Path, runs: list[tuple[str, int | None, int, dict[str, Any]]]) -> None:
    world = World.of_environment()
    assert world is not None
    with joined(world) as ranks:
        for name, step, asking, now in runs:
            stop = step if asking == world.rank else None
            said = train(RunDirectory(folder / "runs" / name), ranks, stop, now)
            (folder / f"{name}.{world.rank}.json").write_text(json.dumps(said))


def train(run: RunDirectory, ranks: Ranks, step: int | None, now: dict[str, Any]) -> dict[str, object]:
    validated = now.pop("validated", False)
    if backend := now.pop("compiled_by", None):
        compiling.DEVICES, compiling.BACKEND = ("cpu",), backend
    config = dataclasses.replace(config_of(run), **now)
    with contextlib.ExitStack() as stack:
        events: EventWriter = UnwrittenEvents()
        if ranks.first:
            stack.enter_context(RunLock(run))
            events = stack.enter_context(EventWriter(run.events, next_seq(run.events)))
        loop = TrainingLoop(run, config, events, recipe_class(config.recipe), ranks)
        if step is not None:
            stop_after(loop, step)
        if validated:
            loop.validate()
        reason = loop.train()
    content = hashlib.sha256()
    for file, tensors in sorted(loop.system.snapshot_taker()._live().items()):
        for name, tensor in sorted(tensors.items()):
            content.update(f"{file} {name}".encode() + gathered(tensor.detach()).float().numpy().tobytes())
    state = json.dumps(loop.system.state(), sort_keys=True)
    held = sum(
        (weight.to_local() if is_sharded(weight) else weight).numel()
        for weight in loop.recipe.models.qwen.language_model.parameters()
    )
    ended = {"tensors": content.hexdigest(), "state": state, "held": held}
    return {"reason": reason, "step": loop.progress.step, **ended}


main(Path(sys.argv[1]), json.loads(sys.argv[2]))
