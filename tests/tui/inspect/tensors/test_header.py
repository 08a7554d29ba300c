"""Headers: what well-formed ones say, and how damaged and hostile ones are refused."""

import json
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inspect_files import entry, raw_file, tensor_file
from safetensors import SafetensorError
from safetensors.numpy import load, save

from arc_core.base.errors import CheckpointError
from arc_core.base.text import is_printable
from arc_tui.inspect.tensors.header import read_header
from arc_tui.inspect.tensors.header_scan import DamagedHeader, scan_header

FUZZED = 2000


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert is_printable(sentence)
    assert len(sentence) < 1500
    return sentence


def test_header_says_what_safetensors_itself_reads(tmp_path: Path):
    tensors = {
        "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.zeros((), np.int64),
        "empty": np.zeros((0, 5), np.float16),
    }
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(tensors, metadata={"format": "np"}))
    header = read_header(path)
    table = header.table
    assert header.metadata == {"format": "np"}
    assert header.notes == ()
    assert sorted(table.names) == sorted(tensors)
    for place, name in enumerate(table.names):
        assert table.shapes[place] == tensors[name].shape
        assert table.parameters[place] == tensors[name].size
        raw = path.read_bytes()[table.begins[place] : table.ends[place]]
        assert raw == tensors[name].tobytes()


def test_shape_and_spaces_may_be_written_in_any_json_way(tmp_path: Path):
    header = ' \n{ "a" : { "data_offsets":[0 , 8], "shape" : [ 2 ] ,"dtype":"F32" } , "\\u0062":' + entry(
        8, 12
    )
    path = raw_file(tmp_path / "x", header + " } \n", bytes(12))
    table = read_header(path).table
    assert table.names == ["a", "b"]
    assert table.shapes == [(2,), (1,)]


@pytest.mark.parametrize("size", [0, 1, 7])
def test_file_shorter_than_its_length_field_is_refused(tmp_path: Path, size: int):
    (tmp_path / "x").write_bytes(bytes(size))
    assert f"has only {size} bytes" in refused(tmp_path / "x")


def test_header_longer_than_the_file_is_refused(tmp_path: Path):
    assert "is truncated" in refused(raw_file(tmp_path / "x", "{}", length=3))


def test_header_above_a_hundred_megabytes_is_refused_unread(tmp_path: Path):
    path = raw_file(tmp_path / "x", "{}", length=100_000_001)
    os.truncate(path, 100_000_100)  # sparse
    tracemalloc.start()
    assert "100,000,001 bytes, and at most 100,000,000" in refused(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert "no safetensors file" in refused(raw_file(tmp_path / "y", "{}", length=2**64 - 1))


@pytest.mark.parametrize(
    ("header", "data", "sentence"),
    [
        ("", 0, "not a JSON object"),
        ("[]", 0, "not a JSON object"),
        ("{", 0, "not JSON at character 1"),
        ('{"a":', 0, "not JSON"),
        ('{"a":1}', 0, "not a dtype, a shape and two offsets"),
        ('{"a":' + entry() + ",}", 4, "not JSON"),
        ('{"a":' + entry() + "} x", 4, "goes on after its JSON has ended"),
        ('{"a":' + entry() + ',"a":' + entry(4, 8) + "}", 8, '"a" is listed twice'),
        ('{"a":' + entry(dtype="F31") + "}", 4, "unknown type F31"),
        ('{"a":' + entry(0, 5) + "}", 5, "has 5 bytes, but F32 of shape [1] needs 4"),
        ('{"a":' + entry(4, 0) + "}", 4, "has -4 bytes"),
        ('{"a":' + entry(0, 4, shape="[-1]") + "}", 4, "not a dtype, a shape|shape that is none"),
        ('{"a":' + entry(0, 4, shape="[01]") + "}", 4, "shape that is none"),
        ('{"a":{"dtype":"F32","shape":[1],"data_offsets":[00,4]}}', 4, "not JSON"),
        ('{"a":' + entry(0, 4, shape="[1.0]") + "}", 4, "not a dtype, a shape"),
        ('{"a":' + entry(0, 4, shape="[true]") + "}", 4, "not a dtype, a shape"),
        ('{"a":' + entry(0, 4, shape="[1,]") + "}", 4, "shape that is none"),
        ('{"a":' + entry(shape="[" + "1," * 70 + "1]") + "}", 4, "shape that is none"),
        ('{"a":' + entry(shape="[999999999999999999,999999999999999999]") + "}", 4, "would have 99"),
        ('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', 4, "not a dtype, a shape"),
        ('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4, "not JSON"),
        ('{"a":' + "[" * 100_000 + "}", 4, "not JSON"),
        ('{"a":' + entry(0, 99999999999999999999) + "}", 4, "not a dtype, a shape"),
        ('{"a":' + entry(0, 8, shape="[2]") + "}", 4, "is truncated: it has"),
        ('{"a":' + entry(0, 8, shape="[2]") + ',"b":' + entry(4, 8) + "}", 8, '"a" and "b" overlap'),
        ('{"a":' + entry(0, 2, "F4", "[3]") + "}", 2, "fill no whole number of bytes"),
        ('{"__metadata__":{"a":1}}', 0, "metadata is not an object of texts"),
        ('{"__metadata__":[]}', 0, "metadata is not an object of texts"),
        ('{"__metadata__":{},"__metadata__":{}}', 0, "listed twice"),
        ('{"\\ud8":' + entry() + "}", 4, "not JSON"),
        (b"{\xff}", 0, "not UTF-8 at byte 9"),
    ],
)
def test_damage_is_one_sentence_that_says_where(
    tmp_path: Path, header: str | bytes, data: int, sentence: str
):
    said = refused(raw_file(tmp_path / "x", header, bytes(data)))
    assert any(part in said for part in sentence.split("|")), said


def test_truncated_file_names_the_first_tensor_that_is_cut(tmp_path: Path):
    path = tensor_file(tmp_path / "x", {"one": np.zeros(4, np.float32), "two": np.zeros(4, np.float32)})
    os.truncate(path, path.stat().st_size - 1)
    assert '1 of 2 tensors are not there in full, the first "two"' in refused(path)


def test_bytes_that_belong_to_no_tensor_are_noted(tmp_path: Path):
    path = raw_file(tmp_path / "x", '{"a":' + entry(4, 8) + "}", bytes(11))
    assert read_header(path).notes == ("7 bytes of its data belong to no tensor.",)


def test_tensors_without_elements_may_share_a_place(tmp_path: Path):
    header = (
        '{"a":' + entry(0, 0, shape="[0]") + ',"b":' + entry(0, 0, shape="[7,0]") + ',"c":' + entry() + "}"
    )
    table = read_header(raw_file(tmp_path / "x", header, bytes(4))).table
    assert table.parameters.tolist() == [0, 0, 1]


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x80\x02", b"\x80\x04\x95"])
def test_pickle_is_refused_with_how_to_convert_it(tmp_path: Path, start: bytes):
    (tmp_path / "model.pt").write_bytes(start + bytes(100))
    said = refused(tmp_path / "model.pt")
    assert "pickle" in said
    assert "safetensors.torch.save_file" in said


def test_names_may_hold_anything(tmp_path: Path):
    names = ["\x1b[2J", "[red]x[/red]", "\u202etxt", "x" * 10_000, "", "ümlaut", 'quote"', "a\\b", "\ud800"]
    path = tensor_file(tmp_path / "x", {name: np.zeros(1, np.uint8) for name in names})
    assert read_header(path).table.names == names
    os.truncate(path, path.stat().st_size - len(names))
    refused(path)  # and the sentence that names one is safe to print


def test_only_regular_files_are_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refused(tmp_path / "pipe")
    assert "no regular file" in refused(Path("/dev/zero"))
    assert "No such file" in refused(tmp_path / "none")
    (tmp_path / "loop").symlink_to("loop")
    assert "Too many levels" in refused(tmp_path / "loop")


def test_link_is_followed_only_where_it_may_be(tmp_path: Path):
    tensor_file(tmp_path / "real", {"a": np.zeros(1, np.float32)})
    (tmp_path / "link").symlink_to("real")
    assert read_header(tmp_path / "link").table.names == ["a"]
    with pytest.raises(CheckpointError, match="no regular file"):
        read_header(tmp_path / "link", follow_links=False)


def test_memory_is_bounded_by_what_a_hostile_header_lists(tmp_path: Path):
    nested = "[" + "[]," * 1_000_000 + "[]]"
    path = raw_file(tmp_path / "x", '{"a":' + nested + "}")
    tracemalloc.start()
    refused(path)
    assert tracemalloc.get_traced_memory()[1] < 5 * len(nested)
    tracemalloc.stop()


def test_a_hundred_thousand_tensors_share_what_they_can(tmp_path: Path):
    tensors = {f"layers.{i}.w": ("F32", [2, 3], b"") for i in range(100_000)}
    header = {
        n: {"dtype": c, "shape": s, "data_offsets": [i * 24, i * 24 + 24]}
        for i, (n, (c, s, _)) in enumerate(tensors.items())
    }
    path = raw_file(tmp_path / "x", json.dumps(header))
    os.truncate(path, path.stat().st_size + 2_400_000)
    table = read_header(path).table
    assert len(table) == 100_000
    assert len({id(shape) for shape in table.shapes}) == 1


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """A well-formed file with some bytes changed, cut, doubled or put in; or any bytes at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    tensors = {
        draw(st.text(max_size=8)): np.zeros(draw(st.lists(st.integers(0, 3), max_size=3)), draw(_DTYPES))
        for _ in range(draw(st.integers(0, 4)))
    }
    raw = bytearray(save(tensors))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        match draw(st.integers(0, 4)):
            case 0 if raw:
                raw[at] = draw(st.integers(0, 255))
            case 1:
                del raw[at : at + draw(st.integers(1, 20))]
            case 2:
                raw[at:at] = raw[at : at + draw(st.integers(1, 20))]
            case 3:
                raw[at:at] = draw(_TOKENS)
            case _:
                raw[:8] = struct.pack("<Q", draw(st.integers(0, 2 * len(raw) + 8)))
    return bytes(raw)


_DTYPES = st.sampled_from([np.float32, np.int8, np.float64, np.uint16, np.bool_])
_TOKENS = st.sampled_from(
    [
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"-1",
        b"9" * 20,
        b"\\",
        b"\\u",
        b"null",
        b"1e9",
        b" ",
        b"\0",
        b"\xff",
    ]
)


@settings(max_examples=FUZZED, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=damaged_files())
def test_whatever_safetensors_takes_is_read_alike_and_the_rest_is_one_sentence(tmp_path: Path, raw: bytes):
    path = tmp_path / "x"
    path.write_bytes(raw)
    try:
        theirs = load(raw)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, MemoryError):
        theirs = None
    header, sentence = None, ""
    try:
        header = read_header(path)
    except CheckpointError as error:
        sentence = str(error)
    if header is None:
        assert theirs is None, f"safetensors reads it, but: {sentence}"
        assert is_printable(sentence)
        return
    table = header.table
    assert (table.begins >= header.data_begin).all()
    assert (table.ends <= len(raw)).all()
    if theirs is not None:
        assert dict(zip(table.names, table.shapes, strict=True)) == {
            name: array.shape for name, array in theirs.items()
        }


@settings(max_examples=FUZZED, deadline=None)
@given(text=st.text(alphabet='{}[]",:\\ abdtypeshF32_ofsn0129.-\n\u202e', max_size=120))
def test_no_text_makes_the_scanner_fail_otherwise_than_by_saying_so(text: str):
    try:
        table, _ = scan_header(text)
    except DamagedHeader:
        return
    parsed = json.loads(text)
    assert set(table.names) == parsed.keys() - {"__metadata__"}


@pytest.mark.timeout(60)  # seconds here, hours if the scanner went back on itself
@pytest.mark.parametrize("piece", ['"', "\\", '\\"', '{"a":', "[[", " ", '"a":"b",'])
def test_scanner_never_goes_back_on_itself(piece: str):
    for start in ("{", '{"', '{"__metadata__":{"'):
        with pytest.raises(DamagedHeader):
            scan_header(start + piece * 200_000)
