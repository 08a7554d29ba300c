"""What a run of the pipeline will need of memory and disk, told from its configuration alone."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from arc_core.pipeline.agent import ARCPromptGuidedAgentGPU, PlannerKind
from arc_core.pipeline.config import CANVAS, PipelineConfig
from arc_core.pipeline.language_model import LanguageModel, config_of, estimate_parameters
from arc_core.pipeline.loss import EFELoss
from arc_core.pipeline.memory import PermanentSolver
from arc_core.pipeline.policy import PolicyRefinedAgent, PolicyRefinedConfig
from arc_core.pipeline.prompt import QwenHybridPrompt
from arc_core.pipeline.system import DIRECTIONS
from arc_core.pipeline.task_prompts import TaskPrompts
from arc_core.training.preflight import Estimate, runtime_bytes

RULE_TOKENS = 40
"""Tokens of a rule sentence: 23 on average and 38 at most in 400 of ARC-AGI-2's, by SmolLM2's tokenizer."""


class _Unloaded(nn.Module):
    """Stands for a language model of which only the width is known."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size


def estimate_run(
    config: PipelineConfig,
    pairs: int,
    device: torch.device,
    lm: str | None = None,
    tasks: int = 0,
    processes: int = 1,
) -> Estimate:
    """Estimate from the configuration alone; nothing is loaded.

    Args:
        config: As resolved.
        pairs: Training pairs.
        device: Where it is to run.
        lm: Where the language model's configuration is read: the folder in the checkpoint that a run goes
            on from; None takes the one that the configuration names.
        tasks: That a prompt is learned for, with the planner `canvas`.
        processes: That hold the language model together where it is sharded; the memory is of each.

    Raises:
        LanguageModelError: If the language model's configuration cannot be read.
    """
    lm = lm or config.lm
    on_canvas = config.planner == CANVAS
    with torch.device("meta"):
        ours: list[nn.Module] = [
            ARCPromptGuidedAgentGPU(
                hidden_dim=config.hidden_dim,
                prompt_dim=config.prompt_dim,
                max_steps=config.max_steps,
                planner=cast(PlannerKind, config.planner),
            ),
            EFELoss(prompt_dim=config.prompt_dim),
            PermanentSolver(config.prompt_dim, capacity=config.memory_capacity),
            QwenHybridPrompt(
                prompt_dim=config.prompt_dim,
                language_model=cast(LanguageModel, _Unloaded(estimate_hidden_size(lm))),
            ),
            PolicyRefinedAgent(
                PolicyRefinedConfig(
                    rl_prompt_dim=config.prompt_dim,
                    rl_ctrl_dim=config.prompt_dim,
                    rl_directions=DIRECTIONS if on_canvas else None,
                ),
                device="meta",
            ),
        ]
        if on_canvas:
            ours.append(TaskPrompts([str(task) for task in range(tasks)], config.prompt_dim))
    own = sum(p.numel() for module in ours for p in module.parameters())
    buffers = sum(b.numel() * b.element_size() for module in ours for b in module.buffers())
    if on_canvas and config.ema:  # averages of agent and prompts
        buffers += 4 * sum(p.numel() for module in (ours[0], ours[-1]) for p in module.parameters())
    language = estimate_parameters(lm, config_of(lm))
    trained = own + (language if config.lm_train == "full" else 0)
    weight = 2 if config.lm_dtype == "bfloat16" else 4
    # Weight, gradient and two moments of each trained parameter; the weight alone of a frozen one.
    of_language = language * (4 * weight if config.lm_train == "full" else weight)
    if config.lm_sharding == "full":
        of_language //= processes
    states = 16 * own + of_language + buffers
    # Per cell: what the backward pass keeps of encoder and heads, in float32.
    per_cell = 4 * config.hidden_dim * (4 + 5 * config.max_steps)
    if on_canvas:  # 2.0 GB were measured at batches of 32, width 64
        per_cell = 4 * config.hidden_dim * 17 * (config.max_steps + 4)
    batch = min(config.batch_size, pairs)
    activations = batch * 900 * per_cell
    if config.lm_train != "frozen":
        activations += estimate_activation_bytes(lm, batch)
    # Mixed precision keeps a copy of two bytes of each float32 weight while a step runs.
    if config.amp != "off":
        activations += 2 * (own + (language if config.lm_dtype == "float32" else 0))
    checkpoint = own * 12 + language * (3 * weight if config.lm_train == "full" else weight) + buffers
    return Estimate(own + language, trained, states + activations + runtime_bytes(device), checkpoint)


def estimate_hidden_size(name: str) -> int:
    """Read a model's width; arguments and errors as of `config_of`."""
    return config_of(name).get_text_config().hidden_size


def estimate_activation_bytes(name: str, texts: int) -> int:
    """Estimate what the backward pass keeps of a forward pass over rule sentences, in float32.

    Args:
        name: As for `LanguageModel.load`.
        texts: Sentences in a batch.

    Returns:
        Bytes.

    Raises:
        LanguageModelError: As `config_of`.
    """
    config = config_of(name).get_text_config()
    layers: int = getattr(config, "num_hidden_layers", 1)
    inner: int = getattr(config, "intermediate_size", 4 * config.hidden_size)
    # Of each layer and token: norms, queries, keys, values, attention and sums, about twelve times the
    # width; and four times the width inside.
    return texts * RULE_TOKENS * layers * 4 * (12 * config.hidden_size + 4 * inner)
