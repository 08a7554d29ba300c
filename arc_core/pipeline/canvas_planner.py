"""The solver's agent: plans an output in five steps under a prompt that stands for the task.

It is the seed's agent made small enough to be trained anew for each task: encoder, prompt, planning steps.
What differs was chosen by measurement, see docs/results.md.

Shape legend: N pairs, M ways to lay an output over its input, H and W sides of the canvas, D channels,
P prompt, C colours, T planning steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arc_core.data.grids import MAX_SIDE, NUM_COLORS
from arc_core.pipeline.canvas import WAYS, CanvasBatch
from arc_core.pipeline.loss_terms import consistency_term
from arc_core.pipeline.planner import SizeHead, one_hot

COPY_GAIN = 4.0
"""How far copying the input leads at first: most cells of most outputs are their input's."""


class Widths(Protocol):
    """What decides which weights a planner has."""

    @property
    def width(self) -> int:
        """Channels of a cell."""
        ...

    @property
    def prompt_dim(self) -> int:
        """Width of the prompt."""
        ...

    @property
    def steps(self) -> int:
        """Planning steps."""
        ...

    @property
    def context_dim(self) -> int:
        """Channels of the maxima of its row, its column and the grid that a cell sees."""
        ...

    @property
    def encoder_blocks(self) -> int:
        """Blocks that read the input before it is planned on."""
        ...


@dataclass(frozen=True)
class CanvasWidths:
    """The widths of a planner whose prompts are given to it."""

    width: int
    prompt_dim: int
    steps: int = 5
    context_dim: int = 16
    encoder_blocks: int = 1


class Neighbourhood(nn.Module):
    """A 3x3 convolution whose weights are one matrix, [out, 9 * in], as the optimizer Muon takes them.

    Args:
        channels: Read.
        wide: Made of them.
    """

    def __init__(self, channels: int, wide: int) -> None:
        super().__init__()
        plain = nn.Conv2d(channels, wide, 3, padding=1)
        self.weight = nn.Parameter(plain.weight.detach().flatten(1))
        self.bias = plain.bias

    def forward(self, state: Tensor) -> Tensor:
        """[N, in, H, W] to [N, out, H, W]."""
        kernel = self.weight.view(len(self.weight), -1, 3, 3)
        # Of the state's type at once: autocast would copy it once more.
        kernel = kernel.to(state.dtype, memory_format=torch.channels_last)
        return F.conv2d(state, kernel, self.bias, padding=1)


class Block(nn.Module):
    """Neighbourhood, context, prompt: one residual step on a canvas.

    Args:
        config: Its widths.
        steered: Whether a prompt scales and shifts what it sees.
    """

    def __init__(self, config: Widths, *, steered: bool) -> None:
        super().__init__()
        wide = 2 * config.width
        self.norm = nn.LayerNorm(config.width)
        self.conv = Neighbourhood(config.width, wide)
        self.reduce = nn.Linear(config.width, config.context_dim)
        inner = wide + 3 * config.context_dim
        self.film = nn.Linear(config.prompt_dim, 2 * inner) if steered else None
        self.out = nn.Linear(inner, config.width)
        if self.film is not None:
            nn.init.zeros_(self.film.weight)
            nn.init.zeros_(self.film.bias)

    def forward(self, state: Tensor, prompt: Tensor | None, mask: Tensor, outside: Tensor) -> Tensor:
        """Take a step: [N, H, W, D], [N, P] where it is steered, and [N, H, W, 1] to [N, H, W, D].

        `outside` is true where the mask is 0.
        What stands in the padding, before and after, is of no meaning.
        """
        seen = self.norm(state) * mask
        inner = F.gelu(self.conv(seen.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        low = self.reduce(seen).masked_fill(outside, -1e4)
        # A row in the padding has no maximum; what stands there is masked by whoever reads it.
        rows, columns = low.amax(dim=2), low.amax(dim=1)
        everything = rows.amax(dim=1, keepdim=True)
        # The prompt scales and shifts what `out` reads. To scale the rows of its weights instead, for each
        # grid, and to add up what comes of cells, rows and columns, spares passes over all of the cells.
        weight, base = self.out.weight.t().to(inner.dtype), self.out.bias
        if self.film is not None and prompt is not None:
            scale, shift = self.film(prompt).chunk(2, dim=-1)
            weight, base = weight * (1 + scale)[..., None], self.out(shift)[:, None]
        context = low.shape[-1]
        of_cell, of_row, of_column, of_grid = weight.split([inner.shape[-1], *[context] * 3], dim=-2)
        cells = inner.flatten(1, 2)
        of_cell = of_cell.expand(len(cells), -1, -1)
        moved = torch.baddbmm(state.flatten(1, 2), cells, of_cell).view(state.shape)
        along = F.gelu(rows) @ of_row + (F.gelu(everything) @ of_grid + base)
        return moved + (along[:, :, None] + (F.gelu(columns) @ of_column)[:, None])


class Transfer(nn.Module):
    """Carries features from an input's canvas to its output's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ways = nn.Linear((WAYS + 1) * width, width)
        self.whole = nn.Linear(2 * width, width)

    def forward(self, features: Tensor, batch: CanvasBatch) -> Tensor:
        """Carry over: [N, H, W, D] on the inputs to [N, h, w, D] on the outputs.

        Beside the three ways of `CanvasBatch` there is the mean over the part of the input that each cell
        of the output would cover; and every cell is told the whole input's mean and maximum.
        """
        keep = batch.inputs.mask[..., None].to(features.dtype)
        if batch.aligned:
            laid = torch.cat([features] * (WAYS + 1), dim=-1)
        else:
            laid = torch.cat([*gather_ways(features, batch), _covered_mean(features, batch)], dim=-1)
        mean = features.sum(dim=(1, 2)) / keep.sum(dim=(1, 2))
        highest = features.masked_fill(keep == 0, -1e4).amax(dim=(1, 2))
        state = self.ways(laid) + self.whole(torch.cat([mean, highest], dim=-1))[:, None, None, :]
        return F.gelu(state) * batch.out_mask[..., None].to(state.dtype)


def gather_ways(values: Tensor, batch: CanvasBatch) -> list[Tensor]:
    """What lies under each cell of the outputs in each way: M times [N, h, w, X], 0 where nothing does."""
    pairs = torch.arange(len(batch), device=values.device)[:, None, None]
    found = []
    for way in range(WAYS):
        rows, columns = batch.rows[:, way, :, None], batch.columns[:, way, None, :]
        there = ((rows >= 0) & (columns >= 0))[..., None].to(values.dtype)
        found.append(values[pairs, rows.clamp_min(0), columns.clamp_min(0)] * there)
    return found


def input_under_output(batch: CanvasBatch) -> Tensor:
    """The input's colours under each cell of the output, one-hot [N, h, w, C]; 0 where there is none.

    Of the ways to lay an output over its input it is the one in which the task's outputs resemble their
    inputs most.
    """
    cells = one_hot(batch.inputs.cells, batch.inputs.mask)
    laid = torch.stack(gather_ways(cells, batch), dim=1)  # [N, M, h, w, C]
    return (laid * batch.copies[:, :, None, None, None]).sum(dim=1)


def _covered_mean(features: Tensor, batch: CanvasBatch) -> Tensor:
    """Mean over the rectangle of the input that each output cell covers, [N, h, w, D]."""
    matrices = []
    for axis in (0, 1):
        old, new = batch.inputs.sizes[:, axis, None, None], batch.out_sizes[:, axis, None, None]
        target = torch.arange(batch.out_mask.shape[1 + axis], device=old.device)[None, :, None]
        source = torch.arange(batch.inputs.canvas[axis], device=old.device)[None, None, :]
        # An output's cell covers the inputs' cells that it overlaps; at least one, however large it is.
        inside = (source * new < (target + 1) * old) & ((source + 1) * new > target * old)
        weights = (inside & (source < old) & (target < new)).to(features.dtype)
        matrices.append(weights / weights.sum(dim=-1, keepdim=True).clamp_min(1))
    return torch.einsum("nhy,nyxd,nwx->nhwd", matrices[0], features, matrices[1])


@dataclass(frozen=True)
class InputReading:
    """What was read of a batch's inputs, to plan under any prompts.

    Attributes:
        cells: [N, H, W, C] the inputs, one-hot.
        features: [N, H, W, D] of the inputs.
        state: [N, h, w, D] the same on the outputs' canvas.
    """

    cells: Tensor
    features: Tensor
    state: Tensor

    def take(self, places: Tensor) -> InputReading:
        """What was read of some items, by their places [n]."""
        return InputReading(self.cells[places], self.features[places], self.state[places])


@dataclass(frozen=True)
class Planned:
    """What the agent says of a batch.

    Attributes:
        logits: [N, T, h, w, C] float32 on the outputs' canvas.
        size_logits: [N, 2, 30] scores of the output's height and width.
        prompts: [N, P] float32, under which was planned.
    """

    logits: Tensor
    size_logits: Tensor
    prompts: Tensor


class CanvasPlanner(nn.Module):
    """Encoder, planner and size head.

    Args:
        config: Its architecture.
    """

    def __init__(self, config: Widths) -> None:
        super().__init__()
        self.config = config
        width, prompt = config.width, config.prompt_dim
        self.stem = nn.Conv2d(NUM_COLORS + 3, width, 3, padding=1)
        self.encoder = nn.ModuleList(Block(config, steered=False) for _ in range(config.encoder_blocks))
        self.transfer = Transfer(width)
        self.enter = nn.Linear(prompt, width)
        self.planner = nn.ModuleList(Block(config, steered=True) for _ in range(config.steps))
        self.step_vectors = nn.Parameter(torch.zeros(config.steps, prompt))
        self.colors = nn.Linear(width, NUM_COLORS)
        self.copy_gain = nn.Linear(prompt, WAYS)
        nn.init.zeros_(self.copy_gain.weight)
        nn.init.zeros_(self.copy_gain.bias)
        self.size_head = SizeHead(width, prompt, MAX_SIDE)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, batch: CanvasBatch, prompts: Tensor) -> Planned:
        """Plan every item of a batch under its prompt, [N, P]."""
        return self.plan(self.read(batch), prompts, batch)

    def read(self, batch: CanvasBatch) -> InputReading:
        """Read the inputs of a batch, and carry what was read over to the outputs' canvas."""
        cells = one_hot(batch.inputs.cells, batch.inputs.mask)
        features = self._read(cells, batch.inputs.mask)
        return InputReading(cells, features, self.transfer(features, batch))

    def plan(self, read: InputReading, prompt: Tensor, batch: CanvasBatch) -> Planned:
        """Plan every item of a batch.

        Args:
            read: Of the batch.
            prompt: [N, P].
            batch: The items.
        """
        prompt = prompt.to(read.state.dtype)
        mask = batch.inputs.mask
        pooled = read.features.sum(dim=(1, 2)) / mask.sum(dim=(1, 2))[:, None]
        size_logits = self.size_head(pooled.float(), prompt.float(), batch.inputs.sizes)
        under = [read.cells] * WAYS if batch.aligned else gather_ways(read.cells, batch)
        gains = self.copy_gain(prompt).float() + COPY_GAIN * batch.copies
        copied = sum(gains[:, way, None, None, None] * laid for way, laid in enumerate(under))  # [N, h, w, C]
        keep = batch.out_mask[..., None].to(read.state.dtype)
        state = read.state + self.enter(prompt)[:, None, None, :]
        logits: list[Tensor] = []
        outside = keep == 0
        for block, vector in zip(self.planner, self.step_vectors, strict=True):
            state = block(state, prompt + vector, keep, outside)
            logits.append(self.colors(state).float() + copied)
        return Planned(torch.stack(logits, dim=1), size_logits, prompt.float())

    def _read(self, cells: Tensor, mask: Tensor) -> Tensor:
        """Read grids: [N, H, W, C] one-hot to features [N, H, W, D]."""
        keep = mask[..., None]
        places = _places(mask)
        state = self.stem(torch.cat([cells, keep, places], dim=-1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        keep = keep.to(state.dtype)
        state = F.gelu(state)
        outside = keep == 0
        for block in self.encoder:
            state = block(state, None, keep, outside)
        return state * keep


def _places(mask: Tensor) -> Tensor:
    """Row and column of each cell, -1 to 1 over its grid: [N, H, W, 2]."""
    heights = mask.amax(dim=2).sum(dim=1)[:, None, None]
    widths = mask.amax(dim=1).sum(dim=1)[:, None, None]
    rows = torch.arange(mask.shape[1], device=mask.device)[None, :, None]
    columns = torch.arange(mask.shape[2], device=mask.device)[None, None, :]
    place = torch.stack(
        [
            ((2 * rows + 1) / heights - 1).expand_as(mask),
            ((2 * columns + 1) / widths - 1).expand_as(mask),
        ],
        dim=-1,
    )
    return place * mask[..., None]


def grid_losses(logits: Tensor, batch: CanvasBatch) -> Tensor:
    """Mean cross-entropy over the cells of each item, [N], of one step's [N, h, w, C]."""
    return consistency_term(logits, batch.targets, batch.out_mask, batch.out_mask)
