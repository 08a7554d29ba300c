"""Every element type of the safetensors format: its width, its name for people, its values as numbers."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["float", "integer", "boolean", "complex", "unread"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ElementType:
    """An element type.

    Attributes:
        code: As headers write it, such as `BF16`.
        bits: Width of an element; below 8 several share a byte.
        kind: What its values are; `unread` for those that are listed but not decoded.
        label: For people, such as `bfloat16`.
        storage: numpy's type of the stored bits; None where elements do not fill whole bytes.
    """

    code: str
    bits: int
    kind: Kind
    label: str
    storage: str | None

    @property
    def stored(self) -> np.dtype[np.generic]:
        """Numpy's type of the stored bits.

        Raises:
            ValueError: If elements do not fill whole bytes.
        """
        if self.storage is None:
            raise ValueError(f"elements of {self.label} do not fill whole bytes")
        return np.dtype(self.storage)

    @property
    def by_table(self) -> bool:
        """Whether all its values fit a table: at most 16 bits."""
        return self.kind != "unread" and self.bits <= 16


ELEMENT_TYPES: tuple[ElementType, ...] = (
    ElementType("BOOL", 8, "boolean", "bool", "u1"),
    ElementType("F4", 4, "float", "float4_e2m1", None),
    ElementType("F6_E2M3", 6, "unread", "float6_e2m3", None),
    ElementType("F6_E3M2", 6, "unread", "float6_e3m2", None),
    ElementType("U8", 8, "integer", "uint8", "u1"),
    ElementType("I8", 8, "integer", "int8", "u1"),
    ElementType("F8_E5M2", 8, "float", "float8_e5m2", "u1"),
    ElementType("F8_E4M3", 8, "float", "float8_e4m3fn", "u1"),
    ElementType("F8_E8M0", 8, "float", "float8_e8m0", "u1"),
    ElementType("F8_E4M3FNUZ", 8, "float", "float8_e4m3fnuz", "u1"),
    ElementType("F8_E5M2FNUZ", 8, "float", "float8_e5m2fnuz", "u1"),
    ElementType("I16", 16, "integer", "int16", "<u2"),
    ElementType("U16", 16, "integer", "uint16", "<u2"),
    ElementType("F16", 16, "float", "float16", "<u2"),
    ElementType("BF16", 16, "float", "bfloat16", "<u2"),
    ElementType("I32", 32, "integer", "int32", "<i4"),
    ElementType("U32", 32, "integer", "uint32", "<u4"),
    ElementType("F32", 32, "float", "float32", "<f4"),
    ElementType("C64", 64, "complex", "complex64", "<c8"),
    ElementType("F64", 64, "float", "float64", "<f8"),
    ElementType("I64", 64, "integer", "int64", "<i8"),
    ElementType("U64", 64, "integer", "uint64", "<u8"),
)
"""All that safetensors 0.8 knows; a header with another one is damaged or from a later version."""

INDEX = {element.code: number for number, element in enumerate(ELEMENT_TYPES)}
"""Place of each code in `ELEMENT_TYPES`; columns of tables hold these."""


def bytes_of(element: ElementType, count: int) -> int | None:
    """Return the bytes that `count` elements take; None where they do not fill whole bytes."""
    whole, rest = divmod(count * element.bits, 8)
    return None if rest else whole


@functools.cache
def table(code: str) -> Floats:
    """Return the value of every bit pattern of a type of at most 16 bits, in float64, read-only.

    Raises:
        KeyError: If the type has no table.
    """
    values = _TABLES[code]()
    values.flags.writeable = False
    return values


def decode(element: ElementType, raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.generic]:
    """Turn stored bytes into numbers that numpy computes with.

    Args:
        element: A type that is not `unread`.
        raw: Bytes of whole elements, one-dimensional and contiguous.

    Returns:
        One number for each element: float32 for types of at most 16 bits (which holds every value of
        theirs), magnitudes for complex ones, else the type's own.
    """
    if element.code == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    if element.by_table:
        return _narrow_table(element.code)[patterns(element, raw)]
    values = raw.view(element.stored)
    return np.abs(values) if element.kind == "complex" else values


def decode_float64(element: ElementType, raw: npt.NDArray[np.uint8]) -> Floats:
    """Turn stored bytes into float64, as `decode` does; signalling NaNs become quiet ones silently."""
    with np.errstate(invalid="ignore"):
        return decode(element, raw).astype(np.float64)


def patterns(element: ElementType, raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.unsignedinteger]:
    """Return the bit pattern of each element of a type that has a table."""
    if element.code == "F4":  # two in a byte, the first in the low half
        both = np.empty(2 * len(raw), np.uint8)
        both[0::2], both[1::2] = raw & 15, raw >> 4
        return both
    return raw.view(np.uint16 if element.bits == 16 else np.uint8)


@functools.cache
def _narrow_table(code: str) -> npt.NDArray[np.float32]:
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return table(code).astype(np.float32)


def _small_float(
    exponent_bits: int,
    mantissa_bits: int,
    bias: int,
    *,
    infinities: bool = False,
    zero_sign_is_nan: bool = False,
    top_is_nan: bool = False,
) -> Floats:
    """Return the values of a small float format by its definition.

    Args:
        exponent_bits: Width of the exponent.
        mantissa_bits: Width of the mantissa.
        bias: Of the exponent.
        infinities: Whether the largest exponent holds infinity and NaN, as in IEEE 754.
        zero_sign_is_nan: Whether negative zero is the only NaN, as in the `fnuz` formats.
        top_is_nan: Whether all ones but the sign is NaN, as in `e4m3fn`.
    """
    code = np.arange(1 << (1 + exponent_bits + mantissa_bits))
    sign = np.where(code >> (exponent_bits + mantissa_bits), -1.0, 1.0)
    exponent = (code >> mantissa_bits) & ((1 << exponent_bits) - 1)
    fraction = (code & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    normal = exponent > 0
    values = sign * np.ldexp(fraction + normal, np.where(normal, exponent, 1) - bias)
    top = exponent == (1 << exponent_bits) - 1
    if infinities:
        values = np.where(top, np.where(fraction == 0, sign * np.inf, np.nan), values)
    if top_is_nan:
        values[top & (fraction == fraction.max())] = np.nan
    if zero_sign_is_nan:
        values[len(code) // 2] = np.nan
    return values


def _powers_of_two() -> Floats:
    values = np.ldexp(1.0, np.arange(256) - 127)
    values[255] = np.nan
    return values


def _bfloat16() -> Floats:
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32).astype(np.float64)


def _float16() -> Floats:
    with np.errstate(invalid="ignore"):
        return np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)


_TABLES = {
    "BOOL": lambda: (np.arange(256) != 0).astype(np.float64),
    "U8": lambda: np.arange(256.0),
    "I8": lambda: np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float64),
    "F4": lambda: _small_float(2, 1, 1),
    "F8_E5M2": lambda: _small_float(5, 2, 15, infinities=True),
    "F8_E4M3": lambda: _small_float(4, 3, 7, top_is_nan=True),
    "F8_E4M3FNUZ": lambda: _small_float(4, 3, 8, zero_sign_is_nan=True),
    "F8_E5M2FNUZ": lambda: _small_float(5, 2, 16, zero_sign_is_nan=True),
    "F8_E8M0": _powers_of_two,
    "I16": lambda: np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.float64),
    "U16": lambda: np.arange(65536.0),
    "F16": _float16,
    "BF16": _bfloat16,
}
