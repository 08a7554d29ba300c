"""The benchmark for a GPU, in its small form on the CPU: every part gives its figures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import environment

from arc_core.solver.weights_file import read_notes

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_small_form_measures_everything(tmp_path):
    hub = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    words = ["--device", "cpu", "--small", "--minutes", "60", "--file", str(tmp_path / "gpu.json")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *words],
        cwd=ROOT,
        env=environment(tmp_path) | hub,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    for name, told in report["parts"].items():
        assert (told["failed"], told["cut"]) == (None, []), f"{name}: {told}"
    figures = {name: told["figures"] for name, told in report["parts"].items()}

    for preset, smallest in (("tiny", 32), ("seed", 1)):
        found = figures[f"throughput, {preset}"]
        assert found["language_model"] == "tiny"
        sizes = {name: line for name, line in found.items() if name.startswith("batch ")}
        assert f"batch {smallest}" in sizes
        assert all(line["pairs_per_second"] > 0 and line["memory_gb"] > 0.1 for line in sizes.values())
        assert found["best"]["pairs_per_second"] == max(line["pairs_per_second"] for line in sizes.values())

        found = figures[f"resume, {preset}"]
        assert (found["steps"], found["resumed_at"], found["tensors_that_differ"]) == (4, 2, 0)
        assert found["bit_equal"] is True
        assert found["tensors"] > 100

    found = figures["float16"]
    assert (found["steps"], found["precision"], found["losses_finite"]) == (3, "float16", True)
    assert found["scale_at_start"] >= 1
    assert 0 <= found["skipped_steps"] <= 3
    assert found["loss_at_start"] > 0

    found = figures["pretraining"]
    assert found["losses_finite"]
    assert found["schedule_ended"]
    assert found["pairs"] >= found["steps"] > 0
    times = [seconds for seconds, _ in found["loss_by_seconds"]]
    assert times == sorted(times)
    assert times[-1] == found["seconds"]
    assert read_notes(tmp_path / found["weights"]).recipe["step"] == found["steps"]

    for part in ("tasks, pretrained", "tasks, packaged"):
        for name in ("evaluation", "held_out"):
            found = figures[part][name]
            assert (found["tasks"], found["answered"]) == (1, 1)
            assert 0 <= found["solved"] <= 1
            assert found["steps_a_task"] >= 1
    assert report["machine"]["versions"]["torch"]
    assert done.stdout.count("\n| ") > len(report["parts"])
