"""What is told of the machine, with and without a GPU that NVML knows."""

import os
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from arc_tui.console.machine import Machine


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """NVML as it answers for one GPU that tells everything and one that tells nothing."""
    calls: list[str] = []

    def answer(handle: str, value: object) -> object:
        if handle == "dumb":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return value

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: calls.append("init"))
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: calls.append("shutdown"))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: ("clever", "dumb")[index])
    answers = {
        "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=71),
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=14 * 10**9, total=80 * 10**9),
        "nvmlDeviceGetPowerUsage": 412_000,
        "nvmlDeviceGetName": b"NVIDIA H100",
    }
    for name, value in answers.items():
        monkeypatch.setattr(pynvml, name, lambda handle, value=value: answer(handle, value))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTemperature", lambda handle, sensor: answer(handle, 61))
    return calls


def test_gpu_tells_use_memory_power_and_heat(tmp_path: Path, two_gpus: list[str]):
    machine = Machine(tmp_path, lambda: None)
    clever, dumb = machine.sample().gpus
    assert (clever.index, clever.name, clever.busy) == (0, "NVIDIA H100", 0.71)
    assert (clever.used, clever.total, clever.watts, clever.celsius) == (14 * 10**9, 80 * 10**9, 412.0, 61.0)
    assert (dumb.index, dumb.name, dumb.busy, dumb.used, dumb.watts) == (1, "GPU", None, None, None)
    machine.close()
    assert two_gpus == ["init", "shutdown"]


def test_machine_without_a_driver_has_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    machine = Machine(tmp_path, lambda: None)
    sample = machine.sample()
    machine.close()
    assert sample.gpus == ()
    assert 0 < sample.memory_used < sample.memory_total
    assert sample.disk_free is not None
    assert sample.cores >= 1


def test_training_process_is_seen_while_it_lives(tmp_path: Path):
    process: list[int | None] = [os.getpid()]
    machine = Machine(tmp_path, lambda: process[0])
    assert (machine.sample().process_memory or 0) > 10**6
    process[0] = None
    assert machine.sample().process_memory is None


def test_process_that_is_gone_is_not_told(tmp_path: Path):
    never = 2**22 + 1
    assert Machine(tmp_path, lambda: never).sample().process_cpu is None


def test_folder_that_is_gone_has_no_free_space(tmp_path: Path):
    assert Machine(tmp_path / "gone", lambda: None).sample().disk_free is None
