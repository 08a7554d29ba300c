"""Resampling of planning logits onto another grid (seed, steps 6 and 9).

A bilinear resize is a product with one matrix for the rows and one for the columns, so a batch of
grids with a size each resizes in two matrix products: no loop, and the same numbers as
`torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`.
"""

import torch
from torch import Tensor


def size_mask(sizes: Tensor, height: int, width: int) -> Tensor:
    """Mark the cells that belong to each grid of a padded batch.

    Args:
        sizes: [batch, 2] integer (height, width) in cells.
        height: Rows of the padded canvas.
        width: Columns of the padded canvas.

    Returns:
        [batch, height, width] float32, 1 inside the grid and 0 in the padding.
    """
    rows = torch.arange(height, device=sizes.device) < sizes[:, :1]
    columns = torch.arange(width, device=sizes.device) < sizes[:, 1:]
    return (rows[:, :, None] & columns[:, None, :]).float()


def resample_matrix(source: Tensor, target: Tensor, source_side: int, target_side: int) -> Tensor:
    """Build the matrices that resample one axis of every grid of a batch.

    Args:
        source: [batch] cells that each grid has along the axis.
        target: [batch] cells that it is to have.
        source_side: Padded length of the axis now.
        target_side: Padded length afterwards.

    Returns:
        [batch, target_side, source_side] float32; rows in the padding are 0, the others sum to 1.
    """
    position = torch.arange(target_side, device=source.device, dtype=torch.float32)
    scale = source.float() / target.float()
    centre = (position + 0.5) * scale[:, None] - 0.5
    centre = torch.minimum(centre.clamp_min(0.0), (source.float() - 1.0)[:, None])
    cell = torch.arange(source_side, device=source.device, dtype=torch.float32)
    weights = (1.0 - (centre[:, :, None] - cell).abs()).clamp_min(0.0)
    return weights * (position < target[:, None])[:, :, None]


def resize_logits(
    logits: Tensor, source_sizes: Tensor, target_sizes: Tensor, canvas: tuple[int, int]
) -> Tensor:
    """Resample planning logits of a padded batch, each grid onto a size of its own.

    Args:
        logits: [batch, steps, height, width, colours] unnormalised scores.
        source_sizes: [batch, 2] the size of each grid inside the padded canvas.
        target_sizes: [batch, 2] the size that each is to have.
        canvas: Padded (height, width) of the result; at least the largest target size.

    Returns:
        [batch, steps, *canvas, colours] float32; padding is 0.
    """
    batch, steps, height, width, colors = logits.shape
    # Both axes at once, each of the longer one's length.
    both = resample_matrix(source_sizes.flatten(), target_sizes.flatten(), max(height, width), max(canvas))
    by_axis = both.view(batch, 2, *both.shape[1:])
    by_row, by_column = by_axis[:, 0, : canvas[0], :height], by_axis[:, 1, : canvas[1], :width]
    rows = logits.float().transpose(1, 2).reshape(batch, height, steps * width * colors)
    resized = torch.bmm(by_row, rows).view(batch, canvas[0] * steps, width, colors)
    columns = resized.transpose(1, 2).reshape(batch, width, canvas[0] * steps * colors)
    result = torch.bmm(by_column, columns).view(batch, canvas[1], canvas[0], steps, colors)
    return result.permute(0, 3, 2, 1, 4)
