"""What a file is that should hold weights and does not."""

import gzip
import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from arc_core.base.file_formats import LOOKED_AT, foreign_format


def numpy_archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.ones(3))
    return file.getvalue()


def torch_file() -> bytes:
    file = io.BytesIO()
    torch.save({"a": torch.ones(3)}, file)  # noqa: TID251 - to be refused
    return file.getvalue()


def archive(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr(name, "x")
    return file.getvalue()


def tape() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as packed:
        packed.addfile(tarfile.TarInfo("a"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "empty"),
        (bytes(4096), "zeros"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "LFS pointer"),
        (b"<!DOCTYPE html>\n<html><body>404", "HTML"),
        (b"\xef\xbb\xbf\n  <HTML>", "HTML"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
        (json.dumps({"error": "Repository not found"}).encode(), "JSON"),
        (b"Access to this model is restricted.", "text"),
        ("Zugriff verweigert für ".encode() + "ü".encode() * 2000, "text"),
        (numpy_archive(), "npz"),
        (torch_file(), "pickle"),
        (archive("archive/data.pkl"), "pickle"),
        (archive("readme.txt"), "zip"),
        (archive("model.weights.h5"), "Keras"),
        (b"GGUF\x03\0\0\0", "GGUF"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "HDF5"),
        (b"\x08\x07\x12\x07pytorch\x1a\x05", "ONNX"),
        (gzip.compress(b"x"), "gzip"),
        (tape(), "tar"),
        (b"\x93NUMPY\x01\0", "npy"),
    ],
)
def test_a_format_is_known_by_its_first_bytes(content: bytes, name: str):
    found = foreign_format(content[:LOOKED_AT])
    assert found is not None
    assert found.name == name
    assert found.told.isprintable()


def test_bytes_of_no_known_format_are_not_named():
    assert foreign_format(b"\x01\x02\xff\xfe\x00" * 100) is None
