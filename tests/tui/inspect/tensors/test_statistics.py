"""Statistics against torch and numpy, for every type and on every way of computing them."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from inspect_files import CODES, opened, tensor_file

from arc_core.base.errors import CheckpointError
from arc_tui.inspect.tensors import pieces, statistics, wide
from arc_tui.inspect.tensors.binning import BINS, QUANTILES, SMALLEST_MAGNITUDE, Statistics
from arc_tui.inspect.tensors.dtypes import ELEMENT_TYPES, INDEX, ElementType, decode_float64, table
from arc_tui.inspect.tensors.pieces import read_raw, read_values
from arc_tui.ui.cancelled import Cancelled

TORCH = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
    "F32": torch.float32,
    "F64": torch.float64,
    "I8": torch.int8,
    "U8": torch.uint8,
    "I16": torch.int16,
    "U16": torch.uint16,
    "I32": torch.int32,
    "U32": torch.uint32,
    "I64": torch.int64,
    "U64": torch.uint64,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}
DECODED = [element for element in ELEMENT_TYPES if element.kind != "unread"]
F4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def statistics_of(element: ElementType, raw: np.ndarray) -> Statistics:
    """Compute the statistics of a tensor whose bytes are at hand."""
    collector = statistics._collector(element, len(raw) * 8 // element.bits)
    for _ in range(collector.passes):
        collector.add(raw, 0, statistics._prepared(element, len(raw) * 8 // element.bits, raw))
        collector.end_pass()
    return collector.finish()


def by_torch(code: str, raw: np.ndarray) -> np.ndarray:
    """Values in float64 as torch understands the bytes; absolute ones of complex numbers."""
    if code == "F4":  # torch has the type, but no conversion of it
        values = np.array(F4 + [-value for value in F4])
        return values[np.stack([raw & 15, raw >> 4], axis=1).ravel()]
    tensor = torch.frombuffer(bytearray(raw.tobytes()), dtype=TORCH[code])
    if code == "C64":
        with np.errstate(invalid="ignore"):
            return np.abs(tensor.numpy()).astype(np.float64)  # torch's own differ in the last bit
    if code in ("U64", "U32", "U16"):
        return tensor.numpy().astype(np.float64)
    return tensor.to(torch.float64).numpy()


def raw_of(code: str, count: int, seed: int = 0) -> np.ndarray:
    """Bytes of a tensor with a usual distribution, some zeros and, where the type has them, odd values."""
    rng = np.random.default_rng(seed)
    element = ELEMENT_TYPES[INDEX[code]]
    if code in ("F32", "F64", "C64"):
        values = rng.standard_normal(count) * 0.02
        values[::97] = 0
        values[5], values[count // 2], values[-1] = np.nan, np.inf, -np.inf
        kind = {"F32": np.float32, "F64": np.float64, "C64": np.complex64}[code]
        return values.astype(kind).view(np.uint8)
    if code in ("BF16", "F16"):
        values = torch.tensor(rng.standard_normal(count)).to(TORCH[code])
        values[::97] = 0
        values[5], values[-1] = math.nan, -math.inf
        return values.view(torch.uint8).numpy()
    if code == "BOOL":
        return rng.integers(0, 2, count, dtype=np.uint8)
    if element.kind == "integer" and element.bits > 16:
        info = np.iinfo(element.stored)
        values = rng.integers(info.min, info.max, count, dtype=element.stored, endpoint=True)
        values[::3] = rng.integers(0, 9, len(values[::3]))
        return values.view(np.uint8)
    return rng.integers(0, 256, count * element.bits // 8, dtype=np.uint8)


def check(found: Statistics, values: np.ndarray) -> None:
    """Hold statistics against numpy's of the same values."""
    finite = values[np.isfinite(values)]
    assert found.parameters == len(values)
    assert found.nans == np.isnan(values).sum()
    assert found.infinities == np.isinf(values).sum()
    assert found.zeros == (values == 0).sum()
    assert found.first_nans == tuple(np.flatnonzero(np.isnan(values))[:5])
    assert found.first_infinities == tuple(np.flatnonzero(np.isinf(values))[:5])
    summary = found.values
    if not len(finite):
        assert summary is None
        return
    assert summary is not None
    assert (summary.minimum, summary.maximum) == (finite.min(), finite.max())
    np.testing.assert_allclose(summary.mean, finite.mean(), rtol=1e-9, atol=1e-12 * np.abs(finite).max())
    np.testing.assert_allclose(summary.std, finite.std(), rtol=1e-9, atol=1e-12 * np.abs(finite).max())
    np.testing.assert_allclose(
        summary.quantiles, np.quantile(finite, QUANTILES), rtol=1e-14, atol=1e-15 * np.abs(finite).max()
    )
    low, high = summary.histogram.low, summary.histogram.high
    assert (low, high) == ((finite.min(), finite.max()) if finite.min() < finite.max() else (low, low + 1))
    expected = np.histogram(finite, bins=BINS, range=(low, high))[0]
    # A value on the edge of two bins may be rounded into either.
    assert np.abs(np.cumsum(summary.histogram.counts) - np.cumsum(expected)).max() <= _on_edges(
        finite, low, high
    )
    powers = np.maximum(np.frexp(finite[finite != 0])[1] - 1, SMALLEST_MAGNITUDE)
    counts = summary.magnitudes.counts
    assert sum(counts) == len(powers)
    for number, count in enumerate(counts):
        assert count == (powers == summary.magnitudes.lowest + number).sum()


def _on_edges(values: np.ndarray, low: float, high: float) -> int:
    places = (values / 2 - low / 2) / (high / 2 - low / 2) * BINS
    return int((np.abs(places - np.round(places)) < 1e-9).sum())


@pytest.mark.parametrize("element", DECODED, ids=lambda element: element.code)
def test_every_value_decodes_as_torch_has_it(element):
    if element.by_table:
        raw = np.arange(256, dtype=np.uint8) if element.bits <= 8 else np.arange(1 << 16, dtype=np.uint16)
        raw = raw.view(np.uint8)
        if element.code == "BOOL":
            raw = raw[:2]  # torch leaves other bytes undefined
    else:
        raw = raw_of(element.code, 1000)
    if element.kind == "complex":
        expected = torch.frombuffer(bytearray(raw), dtype=torch.complex64).abs().numpy()
    else:
        expected = by_torch(element.code, raw)
    decoded = decode_float64(element, raw)
    np.testing.assert_allclose(decoded, expected, rtol=1e-6 if element.kind == "complex" else 0)
    if element.by_table and element.code not in ("BOOL", "F4"):
        np.testing.assert_array_equal(table(element.code), expected)


@pytest.mark.parametrize("element", DECODED, ids=lambda element: element.code)
@pytest.mark.parametrize("count", [1000, 300_000], ids=["sorted", "counted"])
def test_statistics_are_those_of_numpy_over_the_values_of_torch(element, count: int):
    raw = raw_of(element.code, count)
    check(statistics_of(element, raw), by_torch(element.code, raw))


@pytest.mark.parametrize("element", DECODED, ids=lambda element: element.code)
@pytest.mark.parametrize("count", [100, 300_000])
def test_statistics_of_random_bits_are_exact(element, count: int):
    if element.code == "BOOL":
        pytest.skip("only two bytes are booleans")
    raw = np.random.default_rng(1).integers(0, 256, count * element.bits // 8, dtype=np.uint8)
    if element.code == "F64":
        raw[7::8] &= 0x3F  # numpy's own sums overflow beyond
    with np.errstate(all="ignore"):
        values = by_torch(element.code, raw)
        found = statistics_of(element, raw)
    finite = values[np.isfinite(values)]
    assert found.nans == np.isnan(values).sum()
    assert found.values is not None
    assert (found.values.minimum, found.values.maximum) == (finite.min(), finite.max())
    np.testing.assert_allclose(found.values.quantiles, np.quantile(finite, QUANTILES), rtol=1e-13)


ARRAYS = st.sampled_from(list(CODES)).flatmap(
    lambda name: hnp.arrays(
        np.dtype(name), st.integers(1, 200), elements=hnp.from_dtype(np.dtype(name), allow_subnormal=True)
    )
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=ARRAYS)
def test_the_ways_of_computing_agree(values: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    element = ELEMENT_TYPES[INDEX[CODES[values.dtype.name]]]
    raw = values.view(np.uint8)
    with np.errstate(all="ignore"):
        by_sorting = statistics_of(element, raw)
        with monkeypatch.context() as patch:
            patch.setattr(statistics, "SMALL", 0)
            patch.setattr(wide, "_BLOCK", 7)
            patch.setattr(wide, "_COUNTED", 16)
            other = statistics_of(element, raw)
    assert other.values is None or by_sorting.values is not None
    assert (other.zeros, other.nans, other.infinities) == (
        by_sorting.zeros,
        by_sorting.nans,
        by_sorting.infinities,
    )
    assert (other.first_nans, other.first_infinities) == (by_sorting.first_nans, by_sorting.first_infinities)
    if other.values is not None and by_sorting.values is not None:
        one, two = other.values, by_sorting.values
        assert (one.minimum, one.maximum, one.quantiles) == (two.minimum, two.maximum, two.quantiles)
        assert (one.histogram, one.magnitudes) == (two.histogram, two.magnitudes)


def test_pieces_do_not_show_in_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tensors = {
        code: (code, [count], raw_of(code, count).tobytes())
        for code, count in (("BF16", 90_000), ("F32", 90_000), ("F64", 70_000), ("F4", 90_002), ("U8", 3))
    }
    found = opened(tensor_file(tmp_path / "x.safetensors", tensors))
    places = range(len(found.table))
    told: list[tuple[int, int]] = []
    whole = dict(statistics.statistics(found, places, progress=lambda *at: told.append(at)))
    columns = found.table
    to_read = sum(
        int(columns.bytes[place]) * statistics._passes(columns.element(place), int(columns.parameters[place]))
        for place in places
    )
    assert told[-1][0] == told[-1][1] == to_read
    monkeypatch.setattr(pieces, "PIECE_BYTES", 4096)
    in_pieces = dict(statistics.statistics(found, places))
    for place in places:
        a, b = whole[place], in_pieces[place]
        assert (a.nans, a.zeros, a.first_nans, a.first_infinities) == (
            b.nans,
            b.zeros,
            b.first_nans,
            b.first_infinities,
        )
        assert a.values is not None
        assert b.values is not None
        assert (a.values.quantiles, a.values.histogram) == (b.values.quantiles, b.values.histogram)
        assert a.values.mean == pytest.approx(b.values.mean, rel=1e-9)


def test_tensors_without_elements_or_finite_values_have_no_summary(tmp_path: Path):
    path = tensor_file(
        tmp_path / "x.safetensors",
        {
            "none": np.zeros((0, 3), np.float32),
            "nan": np.full(3, np.nan, np.float32),
            "scalar": np.full((), 2, np.float32),
        },
    )
    found = opened(path)
    none, nan, scalar = (one for _, one in statistics.statistics(found, range(3)))
    assert (none.parameters, none.values) == (0, None)
    assert (nan.parameters, nan.nans, nan.values) == (3, 3, None)
    assert scalar.values is not None
    assert (scalar.values.mean, scalar.values.std, scalar.values.quantiles) == (2, 0, (2,) * 7)


def test_whole_numbers_are_exact_beyond_what_a_float_holds():
    values = np.array([2**63 - 1, -(2**63), 2**53 + 1], np.int64)
    summary = statistics_of(ELEMENT_TYPES[INDEX["I64"]], values.view(np.uint8)).values
    assert summary is not None
    assert (summary.minimum, summary.maximum) == (-(2**63), 2**63 - 1)


def test_a_range_as_wide_as_float64_does_not_overflow():
    values = np.array([-1.7e308, 0.0, 1.7e308])
    found = statistics_of(ELEMENT_TYPES[INDEX["F64"]], values.view(np.uint8)).values
    assert found is not None
    assert sum(found.histogram.counts) == 3
    assert (found.histogram.counts[0], found.histogram.counts[-1]) == (1, 1)


def test_cancelling_stops_after_a_piece_and_reads_no_further(tmp_path: Path):
    path = tensor_file(tmp_path / "x.safetensors", {str(i): np.zeros(10, np.float32) for i in range(1000)})
    found = opened(path)
    told: list[int] = []

    def progress(done: int, total: int) -> None:
        told.append(done)
        if len(told) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(statistics.statistics(found, range(1000), progress=progress))
    assert len(told) == 3


def test_file_that_shrinks_while_it_is_open_is_an_error_with_a_sentence(tmp_path: Path):
    path = tensor_file(tmp_path / "x.safetensors", {"a": np.zeros(100_000, np.float32)})
    found = opened(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="shorter than its header says"):
        list(statistics.statistics(found, [0]))
    path.unlink()
    with pytest.raises(CheckpointError, match="No such file"):
        list(statistics.statistics(found, [0]))


def test_types_that_are_not_decoded_say_so(tmp_path: Path):
    found = opened(tensor_file(tmp_path / "x.safetensors", {"a": ("F6_E2M3", [4], bytes(3))}))
    with pytest.raises(CheckpointError, match="float6_e2m3 are not read"):
        list(statistics.statistics(found, [0]))


def test_only_small_tensors_are_read_as_a_whole(tmp_path: Path):
    found = opened(tensor_file(tmp_path / "x.safetensors", {"a": np.arange(6, dtype=np.int16).reshape(2, 3)}))
    np.testing.assert_array_equal(read_values(found, 0), [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(CheckpointError, match="at most 11"):
        read_raw(found, 0, limit=11)


@pytest.mark.parametrize("count", [0, 1, 1 << 20, 3_000_001])
def test_counting_by_sorting_counts_the_same(count: int):
    rng = np.random.default_rng(0)
    for kind, size in ((np.uint8, 256), (np.uint16, 65536)):
        codes = rng.integers(0, size, count, dtype=kind)
        np.testing.assert_array_equal(
            statistics.count_by_sorting(codes, size), np.bincount(codes, minlength=size)
        )
        np.testing.assert_array_equal(
            statistics.count_directly(codes, size), np.bincount(codes, minlength=size)
        )


def test_threads_find_the_same_however_they_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tensor_file(
        tmp_path / "x.safetensors", {"w": ("BF16", [400_000], raw_of("BF16", 400_000).tobytes())}
    )
    found = opened(path)
    [(_, alone)] = statistics.statistics(found, [0])
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1 << 14)
    for workers in (1, 2, 8):
        monkeypatch.setattr(pieces, "WORKERS", workers)
        monkeypatch.setattr(pieces, "AHEAD", workers + 2)
        [(_, shared)] = statistics.statistics(found, [0])
        assert shared == alone
