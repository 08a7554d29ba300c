"""What the machine is doing: CPU, memory, room for checkpoints, and the GPUs where NVML knows them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

T = TypeVar("T")

NVML_NAMES = 40
"""Characters of a GPU's name that are kept."""


@dataclass(frozen=True)
class Gpu:
    """One GPU; a number is None where its driver does not tell it.

    Attributes:
        index: Its number, as `cuda:N` counts them.
        name: What it is called.
        busy: Share of the last moments in which it computed, 0 to 1.
        used: Bytes of its memory in use.
        total: Bytes of its memory.
        watts: Power that it draws.
        celsius: Its temperature.
    """

    index: int
    name: str
    busy: float | None
    used: int | None
    total: int | None
    watts: float | None
    celsius: float | None


@dataclass(frozen=True)
class MachineSample:
    """The machine at one moment.

    Attributes:
        cpu: Share of all cores that is busy, 0 to 1.
        cores: Logical cores.
        memory_used: Bytes of main memory in use.
        memory_total: Bytes of main memory.
        disk_free: Bytes left where the run lies; None if its file system does not tell.
        process_cpu: Cores that the training process keeps busy; None while there is none to be seen.
        process_memory: Bytes that it holds.
        gpus: Every GPU that NVML knows; empty without one.
    """

    cpu: float
    cores: int
    memory_used: int
    memory_total: int
    disk_free: int | None
    process_cpu: float | None = None
    process_memory: int | None = None
    gpus: tuple[Gpu, ...] = ()


class Machine:
    """Takes samples; may be used by one thread at a time.

    Args:
        folder: Where the run lies.
        process: Tells the process id of the training process, None while there is none.
    """

    def __init__(self, folder: Path, process: Callable[[], int | None]) -> None:
        self._folder = folder
        self._process_id = process
        self._process: psutil.Process | None = None
        self._nvml = _Nvml()
        psutil.cpu_percent()  # the first call only opens the interval

    def sample(self) -> MachineSample:
        """Look at the machine; CPU shares are means since the last call."""
        memory = psutil.virtual_memory()
        cpu, held = self._of_process()
        return MachineSample(
            cpu=psutil.cpu_percent() / 100,
            cores=psutil.cpu_count() or 1,
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            disk_free=_disk_free(self._folder),
            process_cpu=cpu,
            process_memory=held,
            gpus=self._nvml.gpus(),
        )

    def close(self) -> None:
        """Let go of the driver."""
        self._nvml.close()

    def _of_process(self) -> tuple[float | None, int | None]:
        identity = self._process_id()
        if identity is None:
            self._process = None
            return None, None
        try:
            if self._process is None or self._process.pid != identity:
                self._process = psutil.Process(identity)
            with self._process.oneshot():
                return self._process.cpu_percent() / 100, self._process.memory_info().rss
        except psutil.Error:  # it has just ended, or belongs to another user
            self._process = None
            return None, None


class _Nvml:
    """NVIDIA's own library, where it is installed and finds a driver."""

    def __init__(self) -> None:
        self._handles: list[Any] = []
        import pynvml  # here, as it would cost the console's start 10 ms

        self._library: Any = pynvml
        try:
            pynvml.nvmlInit()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError:
            self._handles = []

    def gpus(self) -> tuple[Gpu, ...]:
        return tuple(self._gpu(index, handle) for index, handle in enumerate(self._handles))

    def close(self) -> None:
        if self._handles:
            self._handles = []
            self._library.nvmlShutdown()

    def _gpu(self, index: int, handle: Any) -> Gpu:
        nvml: Any = self._library
        busy = self._ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)
        memory = self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        watts = self._ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000)
        celsius = self._ask(lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)))
        name = self._ask(lambda: nvml.nvmlDeviceGetName(handle))
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "GPU")
        return Gpu(
            index,
            text[:NVML_NAMES],
            busy,
            int(memory.used) if memory is not None else None,
            int(memory.total) if memory is not None else None,
            watts,
            celsius,
        )

    def _ask(self, question: Callable[[], T]) -> T | None:
        """Return the driver's answer; None where this GPU or driver has none."""
        try:
            return question()
        except self._library.NVMLError:
            return None


def _disk_free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
