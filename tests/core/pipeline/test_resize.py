"""Resampling, held against torch's own bilinear interpolation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from arc_core.pipeline.resize import resample_matrix, resize_logits, size_mask

sides = st.integers(1, 30) | st.sampled_from([1, 2, 30])
grid_sizes = st.tuples(sides, sides)


def sized(*sizes: tuple[int, int]) -> Tensor:
    return torch.tensor(sizes)


def padded(grids: list[Tensor], canvas: tuple[int, int], fill: float = 0.0) -> Tensor:
    """[steps, h, w, colours] grids onto one canvas."""
    batch = torch.full((len(grids), grids[0].shape[0], *canvas, grids[0].shape[-1]), fill)
    for row, grid in zip(batch, grids, strict=True):
        row[:, : grid.shape[1], : grid.shape[2]] = grid
    return batch


@settings(max_examples=60, deadline=None)
@given(source=grid_sizes, target=grid_sizes)
def test_resize_equals_torch_interpolate(source: tuple[int, int], target: tuple[int, int]) -> None:
    logits = torch.randn(1, 2, *source, 3, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(
        logits[0].permute(0, 3, 1, 2), size=target, mode="bilinear", align_corners=False
    ).permute(0, 2, 3, 1)
    torch.testing.assert_close(
        resize_logits(logits, sized(source), sized(target), target)[0], expected, rtol=1e-5, atol=1e-5
    )


@settings(max_examples=20, deadline=None)
@given(size=grid_sizes)
def test_equal_size_is_the_identity_to_the_bit(size: tuple[int, int]) -> None:
    logits = torch.randn(1, 2, *size, 3)
    assert torch.equal(resize_logits(logits, sized(size), sized(size), size), logits)


@settings(max_examples=30, deadline=None)
@given(pairs=st.lists(st.tuples(grid_sizes, grid_sizes), min_size=2, max_size=4), extra=st.integers(0, 3))
def test_a_padded_batch_equals_its_singles(
    pairs: list[tuple[tuple[int, int], tuple[int, int]]], extra: int
) -> None:
    generator = torch.Generator().manual_seed(len(pairs))
    grids = [torch.randn(2, *source, 3, generator=generator) for source, _ in pairs]
    sources, targets = sized(*[s for s, _ in pairs]), sized(*[t for _, t in pairs])
    canvas = tuple((sources.amax(dim=0) + extra).tolist())
    wide = tuple((targets.amax(dim=0) + extra).tolist())
    batch = resize_logits(padded(grids, canvas), sources, targets, wide)
    for row, grid, (source, target) in zip(batch, grids, pairs, strict=True):
        single = resize_logits(grid[None], sized(source), sized(target), target)[0]
        inside = row[:, : target[0], : target[1]]
        torch.testing.assert_close(inside, single, rtol=1e-5, atol=1e-5)
        assert row.abs().sum() == pytest.approx(inside.abs().sum().item(), rel=1e-5)  # padding is 0


def test_what_stands_in_the_padding_does_not_matter() -> None:
    grid = torch.randn(5, 3, 4, 10)
    clean, dirty = (padded([grid], (7, 9), fill) for fill in (0.0, 1e3))
    arguments = sized((3, 4)), sized((6, 2)), (8, 8)
    assert torch.equal(resize_logits(clean, *arguments), resize_logits(dirty, *arguments))


def test_gradient_reaches_the_grid_and_not_its_padding() -> None:
    logits = torch.randn(1, 1, 4, 5, 2, requires_grad=True)
    resize_logits(logits, sized((3, 4)), sized((7, 6)), (7, 6)).sum().backward()
    assert logits.grad is not None
    inside = logits.grad[0, 0, :3, :4]
    assert (inside > 0).all()
    # Every target cell hands out a total weight of one.
    assert inside.sum().item() == pytest.approx(7 * 6 * 2, rel=1e-5)
    assert logits.grad.sum().item() == pytest.approx(inside.sum().item(), rel=1e-5)


def test_bfloat16_logits_are_resized_in_float32() -> None:
    logits = torch.randn(1, 1, 3, 3, 2).bfloat16()
    resized = resize_logits(logits, sized((3, 3)), sized((5, 5)), (5, 5))
    assert resized.dtype == torch.float32
    assert torch.equal(resized, resize_logits(logits.float(), sized((3, 3)), sized((5, 5)), (5, 5)))


@settings(max_examples=30, deadline=None)
@given(source=sides, target=sides, extra=st.integers(0, 3))
def test_resample_rows_sum_to_one_and_padding_rows_to_zero(source: int, target: int, extra: int) -> None:
    matrix = resample_matrix(torch.tensor([source]), torch.tensor([target]), source + extra, target + extra)
    expected = torch.cat([torch.ones(target), torch.zeros(extra)])
    torch.testing.assert_close(matrix[0].sum(dim=1), expected)
    assert (matrix[0, :, source:] == 0).all()


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(grid_sizes, min_size=1, max_size=5), extra=st.integers(0, 2))
def test_size_mask_marks_exactly_the_grid(sizes: list[tuple[int, int]], extra: int) -> None:
    height, width = (max(size[axis] for size in sizes) + extra for axis in (0, 1))
    expected = np.zeros((len(sizes), height, width), dtype=np.float32)
    for row, (h, w) in zip(expected, sizes, strict=True):
        row[:h, :w] = 1.0
    assert np.array_equal(size_mask(sized(*sizes), height, width).numpy(), expected)
