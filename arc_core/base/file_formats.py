"""What a file is that should hold weights and does not, by its first bytes; the index of a sharded model."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import NamedTuple, cast

from arc_core.base.errors import ArcError, CheckpointError
from arc_core.base.files import read_limited
from arc_core.base.text import printable

LOOKED_AT = 1024
"""Bytes from the start of a file that are enough to tell."""

LARGEST_INDEX = 100 << 20
"""An index above this is refused rather than read."""

_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}

PICKLE = (
    "is a pickle as torch.save writes it, which can run code when it is loaded, so it is not opened: "
    "where you trust it, convert it by safetensors.torch.save_file(torch.load(FILE, "
    "weights_only=True), 'NEW.safetensors')."
)


class ForeignFormat(NamedTuple):
    """A format that is not safetensors.

    Attributes:
        name: In a word or two, such as `GGUF`.
        told: What the file is, to stand after its path: `is a GGUF file; ...`.
        lost: Whether it stands where other content was meant to be, as after a download that failed.
    """

    name: str
    told: str
    lost: bool = False


_EMPTY = ForeignFormat("empty", "is empty: it has only 0 bytes.", lost=True)
_ZEROS = ForeignFormat(
    "zeros",
    "holds no weights: it begins with zeros alone, as after a download or copy that was never finished.",
    lost=True,
)
_PAGE = ForeignFormat(
    "HTML",
    "is a web page (HTML), not weights: what was saved is a server's answer, such as a login or an error; "
    "download the file again.",
    lost=True,
)
_XML = ForeignFormat(
    "XML",
    "is an XML document, not weights: what was saved may be a server's error; download the file again.",
    lost=True,
)
_READS = "this reads safetensors."

_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x80\x02", "pickle", PICKLE),
    (b"\x80\x03", "pickle", PICKLE),
    (b"\x80\x04", "pickle", PICKLE),
    (b"\x80\x05", "pickle", PICKLE),
    (b"GGUF", "GGUF", f"is a GGUF file (llama.cpp); {_READS}"),
    (b"lmgg", "GGML", f"is a GGML file (llama.cpp); {_READS}"),
    (b"tjgg", "GGML", f"is a GGML file (llama.cpp); {_READS}"),
    (b"fmgg", "GGML", f"is a GGML file (llama.cpp); {_READS}"),
    (b"\x93NUMPY", "npy", f"is an array of numpy (.npy); {_READS}"),
    (b"\x89HDF\r\n\x1a\n", "HDF5", f"is an HDF5 file, as Keras writes its weights (.h5); {_READS}"),
    (b"PK\x05\x06", "zip", "is an empty zip archive."),
    (b"\x1f\x8b", "gzip", "is packed by gzip: unpack it first."),
    (b"\xfd7zXZ\x00", "xz", "is packed by xz: unpack it first."),
    (b"\x28\xb5\x2f\xfd", "zstd", "is packed by zstd: unpack it first."),
    (b"BZh", "bzip2", "is packed by bzip2: unpack it first."),
    (b"7z\xbc\xaf\x27\x1c", "7z", "is a 7z archive: unpack it first."),
    (b"Rar!\x1a\x07", "RAR", "is a RAR archive: unpack it first."),
    (b"PAR1", "Parquet", f"is a Parquet file, a table of data; {_READS}"),
    (b"%PDF-", "PDF", "is a PDF document, not weights."),
    (b"\x89PNG\r\n", "PNG", "is a PNG picture, not weights."),
    (b"\xff\xd8\xff", "JPEG", "is a JPEG picture, not weights."),
    (b"\x7fELF", "ELF", "is a program or library (ELF), not weights."),
    (
        b"\x00\x05\x16\x07",
        "AppleDouble",
        "is what macOS keeps beside a file (AppleDouble), not the file.",
    ),
)


def foreign_format(start: bytes) -> ForeignFormat | None:
    """Tell what a file is by its first bytes.

    Args:
        start: The first `LOOKED_AT` bytes, or all where there are fewer.

    Returns:
        What it is; None for what is not known, safetensors among it.
    """
    if not start:
        return _EMPTY
    if len(start) > 8 and not any(start):
        return _ZEROS
    if start.startswith(b"PK\x03\x04"):
        return _zipped(start)
    for magic, name, told in _STARTS:
        if start.startswith(magic):
            return ForeignFormat(name, told)
    if start[257:262] == b"ustar":
        return ForeignFormat("tar", "is a tar archive: unpack it first.")
    if start[4:8] == b"TFL3":
        return ForeignFormat("TFLite", f"is a TensorFlow Lite model; {_READS}")
    # A protobuf with the field ir_version, then another of ONNX's ModelProto.
    if re.match(rb"\x08[\x01-\x1f][\x12\x1a\x22\x28\x32\x3a\x42]", start):
        return ForeignFormat("ONNX", f"is an ONNX model, it seems; {_READS}")
    return _text(start)


def _zipped(start: bytes) -> ForeignFormat:
    """Tell zip archives apart by the name of the first file inside."""
    length = int.from_bytes(start[26:28], "little")
    first = start[30 : 30 + length].strip(b"\0")
    if not first or first.endswith(b".pkl") or first.rpartition(b"/")[2] in _TORCH_MEMBERS:
        return ForeignFormat("pickle", PICKLE)
    if first.endswith(b".npy"):
        return ForeignFormat("npz", f"is an archive of numpy arrays (.npz); {_READS}")
    if first in (b"metadata.json", b"config.json", b"model.weights.h5"):
        return ForeignFormat("Keras", f"is a Keras model (.keras); {_READS}")
    return ForeignFormat("zip", "is a zip archive: unpack it first.")


_TORCH_MEMBERS = (b"data.pkl", b"version", b"byteorder", b".format_version", b".storage_alignment")


def _text(start: bytes) -> ForeignFormat | None:
    try:
        text = start.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        if len(start) < LOOKED_AT or error.start < LOOKED_AT - 4:  # else a character is cut at the end
            return None
        text = start[: error.start].decode("utf-8")
    if any(ord(sign) < 32 and sign not in "\t\r\n\f\x1b" for sign in text):
        return None
    begin = text.lstrip()
    if begin.startswith("version https://git-lfs.github.com/spec/"):
        size = re.search(r"^size (\d{1,20})$", begin, re.MULTILINE)
        stands = f" of {int(size[1]):,} bytes" if size else ""
        return ForeignFormat(
            "LFS pointer",
            f"is a Git LFS pointer, not the file{stands} that it stands for: run `git lfs pull` where it was "
            "cloned.",
            lost=True,
        )
    if re.match(r"<(!doctype\s+html|html|head|body|title|script|!--)", begin, re.IGNORECASE):
        return _PAGE
    if begin.startswith("<?xml"):
        return _PAGE if re.search(r"<(!doctype\s+)?html", begin, re.IGNORECASE) else _XML
    if begin.startswith(("{", "[")):
        return ForeignFormat("JSON", "is a JSON file, not weights.")
    first = begin.partition("\n")[0].strip()
    return ForeignFormat("text", f'is a text file that begins "{printable(first, 60)}", not weights.')


def read_weight_map(index: Path) -> dict[str, str]:
    """Read which tensor is in which file.

    Args:
        index: The index; it may be a symbolic link, as in the Hugging Face cache.

    Returns:
        The file of each tensor, as written: it may lead anywhere, see `leads_outside`.

    Raises:
        CheckpointError: If it cannot be read, or its `weight_map` is not an object of file names.
    """
    try:
        content = read_limited(Path(os.path.realpath(index)), LARGEST_INDEX)
    except ArcError as error:
        shown = printable(str(index), 500)
        raise CheckpointError(f"The index {shown} is damaged: {error}") from None
    return parse_weight_map(content, index)


def parse_weight_map(text: bytes, index: Path) -> dict[str, str]:
    """Read the content of an index, as `read_weight_map` does.

    Args:
        text: The content.
        index: Where it is from, for the message.
    """
    shown = printable(str(index), 500)
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError):
        raise CheckpointError(f"The index {shown} is damaged: it is not JSON.") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"The index {shown} is damaged: it is {kind_of(content)}, not an object.")
    fields = cast("dict[str, object]", content)
    if "weight_map" not in fields:
        raise CheckpointError(f"The index {shown} is damaged: it has no weight_map.")
    weight_map = fields["weight_map"]
    if not isinstance(weight_map, dict):
        raise CheckpointError(
            f"The index {shown} is damaged: its weight_map is {kind_of(weight_map)}, not an object that "
            "names the file of each tensor."
        )
    files = cast("dict[str, object]", weight_map)
    if not files:
        raise CheckpointError(f"The index {shown} is damaged: its weight_map is empty.")
    for tensor, file in files.items():
        if not isinstance(file, str):
            raise CheckpointError(
                f'The index {shown} is damaged: its weight_map gives {kind_of(file)} for "'
                f'{printable(tensor, 80)}", not the name of a file.'
            )
    return cast("dict[str, str]", files)


def leads_outside(name: str) -> bool:
    """Whether a file's name in an index is no path inside the index's folder."""
    parts = name.split("/")
    odd = "\\" in name or "\0" in name or name.startswith("~")
    return odd or ".." in parts or "" in parts or "." in parts


def kind_of(value: object) -> str:
    """Say what a JSON value is, for a sentence."""
    return _KINDS.get(type(value), "a number")
