"""Two processes that train one run: what they compute, and what they refuse."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from same_training import PLANNERS, SLOW, path_of, same_training, steps_of
from small_run import new_run, small_config, train, warned

from arc_core.base.errors import ArcError, ConfigError, PreflightError
from arc_core.pipeline.sharding import refuse_what_shards_cannot
from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.run.directory import RunDirectory
from arc_core.training import ranks
from arc_core.training.launching import World
from arc_core.training.optimizer import MixedPrecision, Precision
from arc_core.training.preflight import Plan, choose_device, refuse_what_cannot_fit
from arc_core.training.ranks import joined

WORKER = Path(__file__).parents[1] / "rank_worker.py"


Asked = tuple[str, int | None, int, dict[str, Any]]
"""A run, after which step which of the processes asks to stop, and settings that are other ones now."""

SHARDED = {"lm_sharding": "full"}
ACCUMULATED = {"batch_size": 1, "accumulate": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that two processes have trained; eleven pairs make batches of four, four and three."""
    folder = tmp_path_factory.mktemp("ranks")
    runs: list[Asked] = []
    for planner, settings in PLANNERS.items():
        kinds: dict[str, dict[str, Any]] = {
            **{"whole": {}, "parts": {}},
            **dict.fromkeys(("accumulated", "reaccumulated"), ACCUMULATED),
            **dict.fromkeys(("sharded", "resharded", "changing"), SHARDED),
        }
        for name, own in kinds.items():
            new_run(folder, f"{name}-{planner}", processes="2", epochs=2, **SLOW | settings | own)
        runs += [(f"{name}-{planner}", None, 0, {}) for name in ("whole", "accumulated", "sharded")]
        for name in ("parts", "reaccumulated", "resharded"):
            runs += [(f"{name}-{planner}", 2, 0, {"validated": True}), (f"{name}-{planner}", None, 0, {})]
        changes = [(2, {}), (4, {"lm_sharding": "none"}), (None, {})]
        runs += [(f"changing-{planner}", step, 0, now) for step, now in changes]
    new_run(folder, "asked", processes="2", epochs=2, **SLOW, **PLANNERS["canvas"])
    new_run(folder, "single", processes="2", batch_size=1, max_batches=6, **SLOW | {"max_pairs": 3})
    two(folder, [*runs, ("asked", 1, 1, {}), ("single", None, 0, {})])
    return folder


def two(folder: Path, runs: list[Asked]) -> None:
    """Train runs in two processes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shared = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, WORKER, folder, json.dumps(runs)],
            env=shared | {"RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=480)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[str, RunDirectory]:
    """What one process has trained with batches of four."""
    runs = {
        planner: new_run(folder, f"one-{planner}", batch_size=4, epochs=2, **SLOW, **settings)
        for planner, settings in PLANNERS.items()
    }
    for run in runs.values():
        train(run)
    return runs


@pytest.mark.parametrize("planner", PLANNERS)
def test_two_processes_with_batches_of_two_are_one_with_batches_of_four(
    folder: Path, alone: dict[str, RunDirectory], planner: str
):
    steps = steps_of(alone[planner])
    assert sorted(step["pairs"] for step in steps.values()) == [3, 3, 4, 4, 4, 4]
    same_training(path_of(folder, f"whole-{planner}"), alone[planner])


@pytest.mark.parametrize("planner", PLANNERS)
def test_two_processes_with_two_parts_of_one_are_one_with_batches_of_four(
    folder: Path, alone: dict[str, RunDirectory], planner: str
):
    same_training(path_of(folder, f"accumulated-{planner}"), alone[planner])


@pytest.mark.parametrize(
    "name",
    [
        *(f"{how}-{planner}" for planner in PLANNERS for how in ("whole", "accumulated", "sharded")),
        "asked",
        "single",
    ],
)
def test_both_processes_end_with_the_same_bits(folder: Path, name: str):
    first, second = (json.loads((folder / f"{name}.{rank}.json").read_text()) for rank in (0, 1))
    assert first["tensors"] == second["tensors"]
    assert (first["step"], first["state"]) == (second["step"], second["state"])


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize(
    "names", [("whole", "parts"), ("accumulated", "reaccumulated"), ("sharded", "resharded")]
)
def test_a_resume_in_as_many_processes_is_exact_to_the_bit(
    folder: Path, planner: str, names: tuple[str, str]
):
    whole, parts = (json.loads((folder / f"{name}-{planner}.0.json").read_text()) for name in names)
    assert parts["tensors"] == whole["tensors"]
    one, two = (path_of(folder, f"{name}-{planner}") for name in names)
    assert steps_of(two) == steps_of(one)
    assert warned(two, "other_processes") == []


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("how", ["sharded", "changing"])
def test_a_language_model_that_two_processes_hold_together_learns_as_a_whole_one(
    folder: Path, alone: dict[str, RunDirectory], planner: str, how: str
):
    """The second run is stopped twice: it goes on with the whole model, and then in parts again."""
    same_training(path_of(folder, f"{how}-{planner}"), alone[planner])
    ends = [json.loads((folder / f"{how}-{planner}.{rank}.json").read_text()) for rank in (0, 1)]
    total = alone[planner].read()["language_model"]["parameters"]
    assert sum(end["held"] for end in ends) == total
    assert max(end["held"] for end in ends) < 0.52 * total


@pytest.mark.parametrize("planner", PLANNERS)
def test_a_checkpoint_of_a_sharded_language_model_is_laid_out_as_any(
    folder: Path, alone: dict[str, RunDirectory], planner: str
):
    found, expected = (
        list_checkpoints(run.checkpoints)[-1] / "lm"
        for run in (path_of(folder, f"sharded-{planner}"), alone[planner])
    )
    texts = {path.name: path.read_bytes() for path in expected.iterdir() if path.suffix != ".safetensors"}
    assert {name: (found / name).read_bytes() for name in texts} == texts


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"accumulate": 2}, "accumulate is 2, but must be 1 with lm_sharding full."),
        ({"compile": True}, "compile is true, but must be false with lm_sharding full."),
        ({"amp": "float16"}, "amp is float16, but must be bfloat16 or off with lm_sharding full."),
    ],
)
def test_a_sharded_language_model_is_refused_what_it_cannot_have(
    tmp_path: Path, settings: dict[str, Any], said: str
):
    config = small_config(tmp_path, **settings, **SHARDED)
    with pytest.raises(ConfigError) as refusal:
        refuse_what_shards_cannot(config, MixedPrecision(torch.device("cpu"), cast(Precision, config.amp)))
    assert str(refusal.value) == said


@pytest.mark.slow
def test_two_compiled_processes_are_one_that_is_not(tmp_path: Path):
    settings = SLOW | PLANNERS["seed"]
    expected = new_run(tmp_path, "one", batch_size=4, **settings)
    train(expected)
    run = new_run(tmp_path, "compiled", processes="2", compile=True, **settings)
    two(tmp_path, [("compiled", None, 0, {"compiled_by": "aot_eager"})])
    same_training(run, expected)
    assert warned(run, "not_compiled") == []
    first, second = (json.loads((tmp_path / f"compiled.{rank}.json").read_text()) for rank in (0, 1))
    assert first["tensors"] == second["tensors"]


def test_any_process_that_is_asked_to_stop_ends_all_at_the_same_step(folder: Path):
    for rank in (0, 1):
        said = json.loads((folder / f"asked.{rank}.json").read_text())
        assert said["step"] == 1
        assert said["reason"].startswith("stopped ")


def test_a_process_without_a_pair_in_a_batch_takes_part_in_it(folder: Path):
    assert sorted(step["pairs"] for step in steps_of(path_of(folder, "single")).values()) == [1, 2]


def test_another_number_of_processes_is_told_and_goes_on_with_what_is_left(folder: Path):
    run = path_of(folder, "asked")
    train(run)
    assert warned(run, "other_processes") == [
        "The run goes on in 1 processes, and its checkpoint is of 2: a step takes 1 times batch_size pairs, "
        "not 2 times."
    ]
    first_epoch = [step for step in steps_of(run).values() if step["epoch"] == 0]
    assert sum(step["pairs"] for step in first_epoch) == 11


def test_more_processes_than_pairs_are_refused(tmp_path: Path):
    plan = Plan.of(None, 3, 1, small_config(tmp_path), "cpu", 1, World(0, 4, 0, 4))
    with pytest.raises(PreflightError) as refusal:
        refuse_what_cannot_fit(plan, torch.device("cpu"), tmp_path)
    assert str(refusal.value) == (
        "4 processes are more than the 3 training pairs of an epoch: take --processes 3 at most."
    )


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_processes_that_is_none_is_refused(tmp_path: Path, given: str):
    with pytest.raises(ConfigError, match="must be auto, or a number from 1 to 9999"):
        small_config(tmp_path, processes=given)


def test_a_number_of_processes_may_be_given_as_a_number(tmp_path: Path):
    assert small_config(tmp_path, processes=2).processes == "2"


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("cuda", "2 processes need a GPU each, and torch sees 0 here: use --processes 1 and --device cpu."),
        ("cuda:1", "device cuda:1 is one GPU for 2 processes: use cuda or auto."),
    ],
)
def test_processes_without_a_gpu_each_are_refused(device: str, said: str):
    with pytest.raises(ArcError) as refusal:
        choose_device(device, World(1, 2, 1, 2))
    assert str(refusal.value) == said


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK is 'x' in the environment, not a number: use torchrun."),
        ({"RANK": "0"}, "WORLD_SIZE is '' in the environment, not a number: use torchrun."),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK 2 of WORLD_SIZE 2"),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "here"}, "MASTER_PORT is not: use torchrun."),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(environment: dict[str, str], said: str):
    with pytest.raises(ArcError) as refusal:
        World.of_environment(environment)
    assert said in str(refusal.value)


def test_a_process_that_cannot_reach_the_first_says_so_in_time(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    monkeypatch.setattr(ranks, "JOIN_SECONDS", 1.0)
    said = f"Process 1 of 2 did not meet the others at 127.0.0.1:{port} within 1 s."
    with pytest.raises(ArcError) as refusal, joined(World(1, 2, 1, 2)):
        pass
    assert str(refusal.value) == said
