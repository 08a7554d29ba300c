"""A process to which closed folders are closed, as they are to every user but root."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION = 0x20080522
_PASS_ANYTHING = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: to read and write what the permission bits close."""

_GET_SECUREBITS, _SET_SECUREBITS = 27, 28
_NO_ROOT = 1
"""A program started meanwhile does not get them back."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def unprivileged() -> Iterator[None]:
    """Obey permission bits for a while, in this thread and in what it starts; skips where that cannot be."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, own = _Header(_VERSION, 0), (_Capabilities * 2)()
    if not hasattr(libc, "capget") or libc.capget(ctypes.byref(header), own) != 0:
        pytest.skip("root keeps its power here: no capabilities")
    before, bits = own[0].effective, libc.prctl(_GET_SECUREBITS)
    if libc.prctl(_SET_SECUREBITS, bits | _NO_ROOT) != 0:
        pytest.skip("root keeps its power here: no secure bits")
    own[0].effective = before & ~_PASS_ANYTHING
    assert libc.capset(ctypes.byref(header), own) == 0
    try:
        yield
    finally:
        own[0].effective = before
        assert libc.capset(ctypes.byref(header), own) == 0
        assert libc.prctl(_SET_SECUREBITS, bits) == 0
