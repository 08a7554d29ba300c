"""The safetensors files are those of the library, whatever the tensors; tied ones are kept once."""

import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load, load_file, save_file
from torch import Tensor, nn

from arc_core.base.files import write_file
from arc_core.checkpoints.tensor_file import encode, size_in_bytes, split_aliases

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
]


def of(dtype: torch.dtype, *shape: int) -> Tensor:
    """Random bits as a tensor of any type; booleans are 0 or 1."""
    width = torch.empty((), dtype=dtype).element_size()
    count = width * torch.Size(shape).numel()
    bits = torch.randint(0, 2 if dtype == torch.bool else 256, (count,), dtype=torch.uint8)
    return bits.view(dtype).reshape(shape)


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def encoded(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    return b"".join(bytes(piece) for piece in encode(tensors, metadata))


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape), name
        assert bits(found[name]) == bits(tensor), name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_library_reads_every_type_and_writes_the_same_bytes(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {"scalar": of(dtype), "matrix": of(dtype, 3, 5), "empty": of(dtype, 2, 0, 4)}
    assert_same(load(encoded(tensors)), tensors)
    save_file(tensors, tmp_path / "theirs.safetensors", {"format": "pt"})
    theirs = (tmp_path / "theirs.safetensors").read_bytes()
    assert_same(load(theirs), tensors)
    header = 8 + int.from_bytes(theirs[:8], "little")
    mine = encoded(tensors, {"format": "pt"})
    assert mine[8 + int.from_bytes(mine[:8], "little") :] == theirs[header:], (
        "the data lies in the same order"
    )


def test_tensors_of_every_type_lie_together_each_at_a_multiple_of_its_width() -> None:
    tensors = {f"{i}.{dtype}": of(dtype, 3) for i, dtype in enumerate(DTYPES)}
    whole = encoded(tensors)
    assert int.from_bytes(whole[:8], "little") % 8 == 0
    assert_same(load(whole), tensors)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3)),
        max_size=6,
    ),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
)
def test_any_names_shapes_and_texts_come_back(
    forms: dict[str, tuple[torch.dtype, list[int]]], texts: dict[str, str]
) -> None:
    tensors = {name: of(dtype, *shape) for name, (dtype, shape) in forms.items()}
    assert_same(load(encoded(tensors, texts)), tensors)


def test_what_is_not_contiguous_is_written_as_it_looks() -> None:
    grid = torch.arange(24.0).reshape(2, 3, 4)
    odd = {
        "turned": grid.permute(2, 0, 1),
        "every other": grid[:, ::2],
        "spread": grid[:1].expand(3, 3, 4),
        "channels last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    }
    assert_same(load(encoded(odd)), odd)


def test_the_texts_stand_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    size, sha256 = write_file(path, encode({"x": torch.ones(3)}, {"aliases": '{"y": "x"}'}))
    assert (size, sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"aliases": '{"y": "x"}'}
    assert_same(load_file(path), {"x": torch.ones(3)})


def test_contiguous_tensors_are_not_copied() -> None:
    tensor = torch.zeros(1000)
    *_, piece = encode({"x": tensor})
    tensor[:] = 1
    assert bytes(piece) == bits(torch.ones(1000))


class Tied(nn.Module):
    """Two layers of one weight, and one that only looks the same."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        self.other = nn.Parameter(self.embed.weight.detach().clone())
        self.register_buffer("empty", torch.zeros(0))
        self.register_buffer("also_empty", torch.zeros(0))


def test_a_tied_pair_is_written_once_and_comes_back_tied() -> None:
    module = Tied()
    kept, aliases = split_aliases(module.state_dict())
    assert aliases == {"head.weight": "embed.weight"}
    assert set(kept) == {"embed.weight", "other", "empty", "also_empty"}
    assert size_in_bytes(kept) == 2 * 5 * 4 * 4
    read = load(encoded(kept))
    again = Tied()
    again.load_state_dict(read | {name: read[target] for name, target in aliases.items()})
    assert again.head.weight is again.embed.weight
    assert torch.equal(again.head.weight, module.embed.weight)
    assert torch.equal(again.other, module.other)


def test_views_of_one_memory_that_differ_are_no_aliases() -> None:
    base = torch.arange(12.0)
    views = {"whole": base, "part": base[:6], "shape": base.view(3, 4), "kind": base.view(torch.int32)}
    assert split_aliases(views) == (views, {})
    square = torch.arange(9.0).reshape(3, 3)
    assert split_aliases({"square": square, "turned": square.T})[1] == {}
