"""Safetensors files and checkpoints made by hand, byte by byte."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arc_core.run.checkpoint_index import MANIFEST, FileEntry, digest, manifest_text
from arc_tui.inspect.tensors.header_scan import TensorTable
from arc_tui.inspect.tensors.source import Checkpoint, open_checkpoint

CODES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "uint16": "U16",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "uint64": "U64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "complex64": "C64",
}


def raw_file(path: Path, header: bytes | str, data: bytes = b"", length: int | None = None) -> Path:
    """A file with any header; `length` is what its first bytes claim, if not the truth."""
    header = header.encode() if isinstance(header, str) else header
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return path


def tensor_file(
    path: Path, tensors: Mapping[str, np.ndarray | tuple[str, list[int], bytes]], metadata: Any = None
) -> Path:
    """A well-formed file; a tensor is an array, or its code, shape and bytes."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, tensor in tensors.items():
        if isinstance(tensor, np.ndarray):
            tensor = CODES[tensor.dtype.name], list(tensor.shape), tensor.tobytes()
        code, shape, raw = tensor
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return raw_file(path, json.dumps(header), data)


def entry(begin: int = 0, end: int = 4, dtype: str = "F32", shape: str = "[1]") -> str:
    """A tensor's entry in a header."""
    return f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}'


def opened(path: Path) -> Checkpoint:
    """What `arc-tui inspect checkpoint PATH` opens."""
    return open_checkpoint(str(path), path.parent / "no-runs")


def table_of(names: Mapping[str, tuple[int, ...]]) -> TensorTable:
    """A table of float32 tensors of these shapes."""
    counts = np.array([int(np.prod(shape)) for shape in names.values()], np.int64)
    ends = np.cumsum(counts * 4)
    return TensorTable(
        list(names), np.full(len(names), 17, np.uint8), list(names.values()), counts, ends - counts * 4, ends
    )


def arc_checkpoint(folder: Path, number: int = 3, scale: float = 1.0, **state: Any) -> Path:
    """A small checkpoint in our layout, with memory, optimizer, preference, language model and manifest."""
    path = folder / f"checkpoint_{number:05d}"
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((4, 3)) * scale).astype(np.float32)
    mean = np.full((4, 3), 0.5, np.float32)
    square = np.full((4, 3), 0.04, np.float32)
    tensor_file(path / "agent.safetensors", {"layer.weight": weight, "layer.bias": np.zeros(4, np.float32)})
    grids = np.zeros((2, 30, 30), np.uint8)
    grids[0, :2, :3] = [[1, 2, 3], [4, 5, 6]]
    tensor_file(
        path / "memory.safetensors",
        {
            "accuracy": np.array([0.75, 0.0], np.float32),
            "grids": grids,
            "sizes": np.array([[2, 3], [0, 0]], np.int64),
            "order": np.array([6, 0], np.int64),
        },
    )
    tensor_file(
        path / "efe_loss.safetensors",
        {"preference": np.log(np.arange(1, 11, dtype=np.float32)), "anchor": np.full(10, 0.1, np.float32)},
    )
    tensor_file(path / "rng.safetensors", {"torch_cpu": np.zeros(5056, np.uint8)})
    tensor_file(path / "lm" / "model.safetensors", {"layers.0.w": np.ones((2, 2), np.float32)})
    (path / "lm" / "config.json").write_text('{"model_type": "qwen2"}\n')
    tensor_file(
        path / "optimizer.safetensors",
        {
            "main/agent.layer.weight:exp_avg": mean,
            "main/agent.layer.weight:exp_avg_sq": square,
            "main/agent.layer.weight:step": np.array(10, np.float32),
            "main/prompt.language_model.backbone.layers.0.w:exp_avg": np.zeros((2, 2), np.float32),
            "main/prompt.language_model.backbone.layers.0.w:exp_avg_sq": np.zeros((2, 2), np.float32),
        },
    )
    content = {
        "format": 1,
        "id": number,
        "epoch": 1,
        "batch": 0,
        "metrics": {"step": 10 * number, "loss": 2.5 - number / 10},
        "position": {"step": 10 * number, "epoch": 1, "batch": 7},
        "memory": {"keys": [["0ca9ddb6", 1]], "stored_ever": 7},
        "optimizer": {
            "main": [
                {"lr": 1e-3, "name": "agent", "betas": [0.9, 0.99], "eps": 1e-8},
                {"lr": 1e-5, "name": "lm", "betas": [0.9, 0.99], "eps": 1e-8},
            ]
        },
        "system": {
            "memory_ema": 0.3,
            "skipped_steps": 1,
            "amp_dtype": "float16",
            "scaler": {"scale": 1024.0},
        },
        "elapsed_seconds": 61.0,
        "threads": 2,
        "saved_at": 1795526906.0,
        "last_seq": 9,
        "a_later_key": [1, 2],
        **state,
    }
    (path / "state.json").write_text(json.dumps(content))
    write_manifest(path)
    return path


def write_manifest(path: Path) -> None:
    """The manifest of what is in a folder now."""
    files = [f for f in sorted(path.rglob("*")) if f.is_file() and f.name != MANIFEST]
    entries = [FileEntry(f.relative_to(path).as_posix(), f.stat().st_size, digest(f)) for f in files]
    (path / MANIFEST).write_bytes(manifest_text(entries))


def arc_run(runs: Path, name: str = "demo", numbers: tuple[int, ...] = (1, 2, 3)) -> Path:
    """A run with checkpoints whose agent doubles from one to the next."""
    path = runs / name
    path.mkdir(parents=True)
    (path / "run.json").write_text(json.dumps({"config": {"epochs": 2, "lm": "tiny"}, "created": 1000.0}))
    for number in numbers:
        arc_checkpoint(path / "checkpoints", number, scale=2.0**number)
    (path / "checkpoints" / "best").write_text(f"checkpoint_{numbers[0]:05d}\n")
    return path
