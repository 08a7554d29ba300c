"""Phase 2a, step 2: the prompt embedding of a task.

Three views of the demonstrations and the query's input are fused: the rule sentence read by the
language model, the fifteen features, and a small encoder over the demonstration grids. The query's
output never takes part.

Shape legend: B pairs, N demonstrations, H and W padded sides, P prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arc_core.data.grids import NUM_COLORS
from arc_core.data.tasks import Pair
from arc_core.pipeline.batch import Demonstrations, PromptInputs, prompt_inputs
from arc_core.pipeline.language_model import LanguageModel
from arc_core.pipeline.planner import one_hot


class DemonstrationEncoder(nn.Module):
    """Reads each demonstration as one picture of input and output, and averages over them.

    Both grids share a canvas, so that a convolution sees what changed in place.
    """

    def __init__(self, prompt_dim: int, width: int = 32) -> None:
        super().__init__()
        self.read = nn.Conv2d(2 * NUM_COLORS + 2, width, 3, padding=1)
        self.reduce = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.out = nn.Linear(4 * width, prompt_dim)
        self.nothing = nn.Parameter(torch.zeros(prompt_dim))

    def forward(self, inputs: PromptInputs) -> Tensor:
        """Embed the demonstrations of each pair, [B, P]; a learned vector where there are none."""
        batch = len(inputs)
        if not inputs.demonstrations:
            return self.nothing.expand(batch, -1)
        owner = torch.cat([some.owner for some in inputs.demonstrations])
        seen = torch.cat([self._read(some)[: len(some.owner)] for some in inputs.demonstrations])
        each = self.out(seen).float()
        count = self.nothing.new_zeros(batch).index_add(0, owner, self.nothing.new_ones(len(owner)))
        total = each.new_zeros(batch, each.shape[1]).index_add(0, owner, each)
        mean_of_pairs = total / count.clamp_min(1.0)[:, None]
        return torch.where((count > 0)[:, None], mean_of_pairs, self.nothing)

    def _read(self, some: Demonstrations) -> Tensor:
        """Mean and maximum of what is seen in the demonstrations of one canvas, [N, 4W], blank ones too."""
        before, after = some.inputs, some.outputs
        picture = torch.cat(
            [
                one_hot(before.cells, before.mask),
                one_hot(after.cells, after.mask),
                before.mask[..., None],
                after.mask[..., None],
            ],
            dim=-1,
        )
        sides = torch.maximum(before.mask, after.mask)
        # The canvas of a pair is the smallest rectangle around both grids.
        canvas = sides.amax(dim=2)[:, :, None] * sides.amax(dim=1)[:, None, :]
        read = F.gelu(self.read(picture.permute(0, 3, 1, 2)))
        read = F.gelu(self.reduce(read * canvas[:, None].to(read.dtype)))
        kept = canvas[:, None, ::2, ::2].to(read.dtype)
        mean = (read * kept).sum(dim=(2, 3)) / kept.sum(dim=(2, 3)).clamp_min(1.0)
        # GELU is bounded below by -0.17, so a masked maximum may start at -1.
        peak = (read * kept + (kept - 1.0)).amax(dim=(2, 3))
        return torch.cat([mean, peak], dim=-1)


@dataclass(frozen=True)
class PromptPack:
    """A batch of prompts.

    Attributes:
        prompt_embedding: [B, P].
        control_vector: [B, P] of the features and the demonstrations, for the policy.
        text_embedding: [B, P] of the rule sentences, projected.
    """

    prompt_embedding: Tensor
    control_vector: Tensor
    text_embedding: Tensor


class QwenHybridPrompt(nn.Module):
    """Fuses language and numbers into a prompt (phase 2a).

    Args:
        model_name: `tiny`, `smollm2`, a local folder or a hub name.
        prompt_dim: Width of the prompt.
        numeric_in_dim: Number of features.
        fuse: `mean` weighs both views with `control_weight`; `concat` learns the mixture.
        lm_train: Whether the language model trains fully, by LoRA, or not at all.
        lm_dtype: Type of its weights.
        language_model: Takes the place of `model_name`, for one that is already loaded.

    Raises:
        LanguageModelError: If the language model cannot be loaded.
        ValueError: If `fuse` is neither `mean` nor `concat`.
    """

    def __init__(
        self,
        model_name: str = "tiny",
        prompt_dim: int = 256,
        numeric_in_dim: int = 15,
        fuse: str = "mean",
        *,
        lm_train: Literal["full", "lora", "frozen"] = "full",
        lm_dtype: Literal["float32", "bfloat16"] = "float32",
        language_model: LanguageModel | None = None,
    ) -> None:
        super().__init__()
        if fuse not in ("mean", "concat"):
            raise ValueError(f"fuse must be 'mean' or 'concat', not {fuse!r}")
        self.language_model = language_model or LanguageModel.load(model_name, train=lm_train, dtype=lm_dtype)
        self.text = nn.Sequential(
            nn.Linear(self.language_model.hidden_size, prompt_dim), nn.LayerNorm(prompt_dim)
        )
        self.numeric = nn.Sequential(
            nn.Linear(numeric_in_dim, prompt_dim), nn.GELU(), nn.Linear(prompt_dim, prompt_dim)
        )
        self.demonstrations = DemonstrationEncoder(prompt_dim)
        self.control = nn.LayerNorm(prompt_dim)
        self.mixture = nn.Linear(2 * prompt_dim, prompt_dim) if fuse == "concat" else None

    def recompute_language(self) -> None:
        """Keep no activations within the language model's layers: the backward pass computes them again."""
        backbone = self.language_model.backbone
        backbone.activation_checkpointing_enable({"use_reentrant": False})

    def head_parameters(self) -> list[nn.Parameter]:
        """Everything that is not the language model."""
        own = {id(parameter) for parameter in self.language_model.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in own]

    def encode(self, inputs: PromptInputs, control_weight: float = 0.5) -> PromptPack:
        """Embed a batch of tasks.

        Args:
            inputs: Their sentences, features and demonstrations.
            control_weight: Share of numbers and demonstrations against language.
        """
        text = self.text(self.language_model(inputs.rules)).float()
        numbers = self.numeric(inputs.features) + self.demonstrations(inputs)
        control = self.control(numbers).float()
        if self.mixture is None:
            prompt = (1.0 - control_weight) * text + control_weight * control
        else:
            prompt = self.mixture(torch.cat([text, control], dim=-1)).float()
        return PromptPack(prompt, control, text)

    def forward(
        self,
        tr: Sequence[Pair] | Sequence[tuple[Tensor, Tensor]],
        inp: Tensor,
        out: Tensor | None = None,
        control_weight: float = 0.5,
    ) -> dict[str, Tensor]:
        """Embed one task, in the seed's form.

        Args:
            tr: The task's demonstrations, as pairs or as (input, output) tuples; may be empty.
            inp: [H, W] the query's input.
            out: Ignored: the query's output is what is to be found.
            control_weight: Share of numbers and demonstrations against language.

        Returns:
            `prompt_embedding`, `control_vector` and `text_embedding`, each [P].
        """
        del out
        context = [
            pair if isinstance(pair, Pair) else Pair(_as_array(pair[0]), _as_array(pair[1])) for pair in tr
        ]
        inputs = prompt_inputs([context], [_as_array(inp)]).to(next(self.numeric.parameters()).device)
        pack = self.encode(inputs, control_weight)
        return {
            "prompt_embedding": pack.prompt_embedding[0],
            "control_vector": pack.control_vector[0],
            "text_embedding": pack.text_embedding[0],
        }


def _as_array(grid: Tensor | np.ndarray) -> np.ndarray:
    return np.asarray(grid.cpu() if isinstance(grid, Tensor) else grid).astype(np.int8)
