"""The checkpoint browser beside safetensors' own reader and, where it is installed, sft-cli, in one run.

    python -m benchmarks.inspect [--folder FOLDER] [--sft PATH] [--rounds 2] [--small]

It writes a file of Qwen2.5-1.5B's shape (338 tensors, 3.09 GB of random bfloat16) and one of 100,000 tensors
into a new folder, measures, and removes both. Times are of whole processes, start included; first frames are
taken from a pseudo-terminal. "cold" means that the file's pages were dropped from the cache before.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pexpect
import psutil

WRITTEN_AT_ONCE = 1 << 24
"""Elements that are made and written at once."""
BLOCK = 4 << 20
MANY = 100_000
PATIENCE = 600
FULL_READ = (
    "import sys\n"
    "from safetensors import safe_open\n"
    "with safe_open(sys.argv[1], 'pt') as file:\n"
    "    for name in file.keys():\n"
    "        file.get_tensor(name).clone()\n"
)
"""Every byte through safetensors, one tensor at a time; that it starts torch is told beside it."""
START_TORCH = "import safetensors, torch"


@dataclass(frozen=True)
class Measured:
    """What a process took."""

    seconds: float
    megabytes: float
    code: int = 0
    processor: float = math.nan
    """Seconds of all cores together: less sensitive to what else the machine does."""


def qwen_shapes(layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of Qwen2.5-1.5B with so many layers; it has 28."""
    yield "model.embed_tokens.weight", (151_936, 1536)
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        yield f"{prefix}input_layernorm.weight", (1536,)
        yield f"{prefix}mlp.down_proj.weight", (1536, 8960)
        yield f"{prefix}mlp.gate_proj.weight", (8960, 1536)
        yield f"{prefix}mlp.up_proj.weight", (8960, 1536)
        yield f"{prefix}post_attention_layernorm.weight", (1536,)
        for name, width in (("k", 256), ("q", 1536), ("v", 256)):
            yield f"{prefix}self_attn.{name}_proj.bias", (width,)
            yield f"{prefix}self_attn.{name}_proj.weight", (width, 1536)
        yield f"{prefix}self_attn.o_proj.weight", (1536, 1536)
    yield "model.norm.weight", (1536,)


def write_file(path: Path, code: str, width: int, shapes: Sequence[tuple[str, tuple[int, ...]]]) -> None:
    """Write random numbers under these names; nothing is left to holes of the file system."""
    header: dict[str, object] = {}
    end = 0
    for name, shape in shapes:
        begin, end = end, end + width * math.prod(shape)
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        left = end // width
        while left:
            count = min(left, WRITTEN_AT_ONCE)
            values = rng.standard_normal(count, dtype=np.float32) * np.float32(0.02)
            file.write(
                values.tobytes() if width == 4 else (values.view(np.uint32) >> 16).astype("<u2").tobytes()
            )
            left -= count
        os.fsync(file.fileno())


def write_both(folder: Path, layers: int) -> None:
    """Write the large file and the one of many tensors."""
    write_file(folder / "large.safetensors", "BF16", 2, list(qwen_shapes(layers)))
    names = (f"model.layers.{number // 100}.part.{number % 100}.weight" for number in range(MANY))
    write_file(folder / "many.safetensors", "F32", 4, [(name, (2, 3)) for name in names])


def drop_from_cache(path: Path) -> None:
    """Let the next reader take a file from the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def timed(command: Sequence[str]) -> Measured:
    """Run a process to its end, its output thrown away."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    processor = usage.ru_utime + usage.ru_stime
    return Measured(seconds, usage.ru_maxrss / 1000, process.returncode, processor)


def first_frame(command: Sequence[str], text: str) -> Measured:
    """Run a browser in a pseudo-terminal of 160x50 until a text is on its screen."""
    began = time.perf_counter()
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    child = pexpect.spawn(
        command[0], list(command[1:]), dimensions=(50, 160), timeout=PATIENCE, env=environment
    )
    try:
        child.expect(text)
        seconds = time.perf_counter() - began
        process = psutil.Process(child.pid)
        memory, times = process.memory_info().rss / 1e6, process.cpu_times()
    finally:
        child.close(force=True)
    return Measured(seconds, memory, 0, times.user + times.system)


def plain_read(path: Path) -> float:
    """Seconds to read a file once, through one buffer."""
    buffer = bytearray(BLOCK)
    began = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return time.perf_counter() - began


def best(measured: Sequence[Measured]) -> Measured:
    """The fastest; a busy machine only ever adds time."""
    return min(measured, key=lambda one: one.seconds)


def show(label: str, one: Measured, note: str = "") -> None:
    """Print a line."""
    failed = "" if one.code == 0 else f"   FAILED with code {one.code}"
    processor = f"{one.processor:9.2f} s" if math.isfinite(one.processor) else " " * 11
    print(f"{label:44}{one.seconds:9.2f} s{processor}{one.megabytes:9.0f} MB  {note}{failed}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=None, help="where the files are written; needs 3.2 GB")
    parser.add_argument(
        "--sft", default=shutil.which("sft"), help="sft-cli's command, in its own environment"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="two layers instead of 28: half a gigabyte")
    parser.add_argument("--write", type=int, metavar="LAYERS", help="only write the two files, into --folder")
    arguments = parser.parse_args()
    if arguments.write is not None:
        write_both(arguments.folder, arguments.write)
        return
    ours = str(Path(sys.executable).with_name("arc-tui"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="inspect-") as folder:
        large, many = Path(folder, "large.safetensors"), Path(folder, "many.safetensors")
        layers = "2" if arguments.small else "28"
        # By a process of its own: a child's peak of memory counts that of its parent when it was started.
        subprocess.run(
            [sys.executable, "-m", "benchmarks.inspect", "--write", layers, "--folder", folder], check=True
        )
        measure(ours, arguments.sft, large, many, range(arguments.rounds))


def measure(ours: str, sft: str | None, large: Path, many: Path, rounds: range) -> None:
    """Measure everything, ours and theirs in turns."""
    size = large.stat().st_size
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}; {size / 1e9:.2f} GB; best of {len(rounds)}")
    print(f"{'':44}{'time':>11}{'processor':>11}{'memory':>12}")
    inspect = (ours, "inspect", "checkpoint")
    show(
        "first frame, large file", best([first_frame((*inspect, str(large)), "embed_tokens") for _ in rounds])
    )
    show(
        "first frame, 100,000 tensors",
        best([first_frame((*inspect, str(many)), "100,000 tensors") for _ in rounds]),
    )
    show("list of 100,000 tensors as text", best([timed((*inspect, str(many), "--plain")) for _ in rounds]))
    cold: list[float] = []
    computed: list[Measured] = []
    for _ in rounds:
        drop_from_cache(large)
        cold.append(plain_read(large))
        drop_from_cache(large)
        computed.append(timed((*inspect, str(large), "--stats")))
    rate = size / min(cold)
    show("plain read, cold", Measured(min(cold), 0), f"{rate / 1e9:.2f} GB/s")
    statistics = best(computed)
    share = size / statistics.seconds / rate
    show(
        "all statistics, cold",
        statistics,
        f"{size / statistics.seconds / 1e9:.2f} GB/s, {share:.2f} of plain",
    )
    warm = best([timed((*inspect, str(large), "--stats")) for _ in rounds])
    show("all statistics, warm", warm, f"{size / warm.seconds / 1e9:.2f} GB/s")
    python = (sys.executable, "-c")
    theirs: list[Measured] = []
    for _ in rounds:
        drop_from_cache(large)
        theirs.append(timed((*python, FULL_READ, str(large))))
    start = best([timed((*python, START_TORCH)) for _ in rounds])
    full = best(theirs)
    show("safetensors, every tensor once, cold", full, f"of it {start.seconds:.2f} s to start torch")
    print(f"statistics take {statistics.seconds / full.seconds:.2f} of safetensors' full read")
    if sft is None:
        print("sft-cli is not installed: give its command by --sft")
        return
    show("sft browse, first frame, large file", first_frame((sft, "browse", str(large)), "embed_tokens"))
    show("sft browse, first frame, 100,000 tensors", first_frame((sft, "browse", str(many)), "layers"))
    show("sft info, 100,000 tensors", timed((sft, "info", str(many))))
    stat = timed((sft, "stat", str(large)))
    show("sft stat, warm", stat, f"{stat.seconds / warm.seconds:.1f} times ours")
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"largest process of all: {children:.1f} GB")


if __name__ == "__main__":
    main()
