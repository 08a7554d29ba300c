"""Phase 2: all models of a run, built from its configuration, and how a batch flows through them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from arc_core.checkpoints.form import require_form
from arc_core.checkpoints.snapshot import LANGUAGE_MODEL, SnapshotTaker
from arc_core.data.grids import MAX_SIDE
from arc_core.pipeline.agent import AgentOutput, ARCPromptGuidedAgentGPU, PlannerKind
from arc_core.pipeline.averaged import AveragedWeights
from arc_core.pipeline.batch import Batch
from arc_core.pipeline.config import CANVAS, PipelineConfig
from arc_core.pipeline.curriculum import DynamicMemoryThreshold, SizeWarmupCurriculum
from arc_core.pipeline.declared import WEIGHTS
from arc_core.pipeline.language_model import Dtype, LanguageModel, TrainMode
from arc_core.pipeline.loss import EFELoss
from arc_core.pipeline.memory import PermanentSolver
from arc_core.pipeline.muon import MUON_DECAY, MUON_RATE, PROMPT_RATE, BatchedMuon, is_hidden_matrix
from arc_core.pipeline.padding import FEW_SIDES, GridBatch, padded_canvas
from arc_core.pipeline.persistence import Models
from arc_core.pipeline.planner import Planner
from arc_core.pipeline.policy import PolicyRefinedAgent, PolicyRefinedConfig, RefineInfo
from arc_core.pipeline.prompt import PromptPack, QwenHybridPrompt
from arc_core.pipeline.resize import resize_logits, size_mask
from arc_core.pipeline.task_prompts import TaskPrompts
from arc_core.run.checkpoint_index import STATE
from arc_core.training.optimizer import Component, MixedPrecision, Precision, Schedule, make_optimizer
from arc_core.training.ranks import ALONE, Ranks

RATES = {
    "agent": ("agent_lr", 1.0),
    "hidden": ("agent_lr", MUON_RATE),
    "vectors": ("agent_lr", PROMPT_RATE),
    "turns": ("agent_lr", 1.0),
    "memory": ("agent_lr", 2.0),
    "efe_loss": ("agent_lr", 0.5),
    "lm": ("qwen_lr", 1.0),
    "prompt": ("qwen_lr", 1.0),
}
"""The setting that each optimizer group's rate is defined by, and its factor (seed, phase 2f)."""

FOUND_DIRECTIONS = 3
"""Prompts of the memory that an action may go towards."""

DIRECTIONS = 1 + FOUND_DIRECTIONS
"""Directions of an action with the planner `canvas`: the task's own vector, and prompts of the memory."""


@dataclass(frozen=True)
class Prediction:
    """What the agent predicts for a batch.

    Attributes:
        logits: [B, T, H, W, C] on the inputs' canvas.
        output: Features and size.
    """

    logits: Tensor
    output: AgentOutput

    def on(self, inputs: GridBatch, sizes: Tensor, canvas: tuple[int, int], steps: slice) -> Tensor:
        """Resample some planning steps onto other sizes, [B, steps, *canvas, C]."""
        return resize_logits(self.logits[:, steps], inputs.sizes, sizes, canvas)

    def final(self, inputs: GridBatch) -> tuple[Tensor, Tensor]:
        """The last step on the predicted sizes: logits [B, h, w, C] and mask [B, h, w]."""
        sizes = self.output.sizes
        # On a GPU the largest canvas costs less than to wait until the sizes are known.
        canvas = padded_canvas(sizes.numpy(), FEW_SIDES) if sizes.is_cpu else (MAX_SIDE, MAX_SIDE)
        logits = self.on(inputs, sizes, canvas, slice(-1, None))[:, 0]
        return logits, size_mask(sizes, *canvas)

    def grids(self, inputs: GridBatch) -> list[Tensor]:
        """The predicted grids, each [h, w] colours on the host."""
        logits, _ = self.final(inputs)
        cells = logits.argmax(dim=-1).cpu()
        return [
            grid[:height, :width]
            for grid, (height, width) in zip(cells, self.output.sizes.tolist(), strict=True)
        ]


@dataclass(frozen=True)
class Flow:
    """Steps 2 to 5 of a batch.

    Attributes:
        base_prompt: [B, P] with what the memory adds.
        prompt: [B, P] refined.
        refine_info: What the policy needs for its update.
        before: Prediction under the base prompt, without gradient.
        after: Prediction under the refined prompt.
        memory_hits: [B] entries read.
    """

    base_prompt: Tensor
    prompt: Tensor
    refine_info: RefineInfo
    before: Prediction
    after: Prediction
    memory_hits: Tensor


def language_model_of(checkpoint: Path | None, config: PipelineConfig) -> LanguageModel:
    """Load the language model that a checkpoint holds, or the one that a run begins with.

    Raises:
        LanguageModelError: If it cannot be loaded.
    """
    found = LanguageModel.load(
        config.lm if checkpoint is None else str(checkpoint / LANGUAGE_MODEL),
        train=cast(TrainMode, config.lm_train),
        dtype=cast(Dtype, config.lm_dtype),
    )
    found.name = config.lm
    return found


class ArcSystem:
    """The seed's five models, two curricula, optimizer and scaler.

    Args:
        config: The run's settings.
        device: Where the models live.
        total_steps: Steps of the whole run, for the schedule.
        language_model: An already loaded one, as when a run is resumed from a checkpoint.
        tasks: Ids of the tasks that prompts are learned for, with the planner `canvas`.
    """

    def __init__(
        self,
        config: PipelineConfig,
        device: torch.device,
        total_steps: int = 1,
        language_model: LanguageModel | None = None,
        tasks: Sequence[str] = (),
    ) -> None:
        self.config = config
        self.device = device
        self.qwen = QwenHybridPrompt(
            config.lm,
            prompt_dim=config.prompt_dim,
            lm_train=cast(TrainMode, config.lm_train),
            lm_dtype=cast(Dtype, config.lm_dtype),
            language_model=language_model,
        ).to(device)
        on_canvas = config.planner == CANVAS
        self.agent = ARCPromptGuidedAgentGPU(
            hidden_dim=config.hidden_dim,
            prompt_dim=config.prompt_dim,
            max_steps=config.max_steps,
            planner=cast(PlannerKind, config.planner),
        ).to(device)
        self.task_prompts = TaskPrompts(tasks, config.prompt_dim).to(device) if on_canvas else None
        self.mean: AveragedWeights[ARCPromptGuidedAgentGPU, TaskPrompts] | None = None
        if self.task_prompts is not None and config.ema:
            self.mean = AveragedWeights(self.agent, self.task_prompts, config.ema)
        self.efe_loss = EFELoss(
            **{name: getattr(config, name) for name in WEIGHTS.values()},
            prompt_dim=config.prompt_dim,
            every_step=on_canvas,
        ).to(device)
        self.policy = PolicyRefinedAgent(
            PolicyRefinedConfig(
                rl_prompt_dim=config.prompt_dim,
                rl_ctrl_dim=config.prompt_dim,
                rl_lr=config.policy_lr,
                rl_clip_norm=config.clip_norm,
                rl_directions=DIRECTIONS if on_canvas else None,
            ),
            device=device,
        )
        self.memory = PermanentSolver(config.prompt_dim, capacity=config.memory_capacity).to(device)
        self.size_warmup = SizeWarmupCurriculum() if config.size_warmup else SizeWarmupCurriculum.skipped()
        self.memory_threshold = DynamicMemoryThreshold()
        self.precision = MixedPrecision(device, cast(Precision, config.amp))
        self.schedule = Schedule(config.schedule, config.warmup_steps, total_steps)
        self.components = self._components()
        self.optimizer, self.muon = self._optimizers()
        self.spread = ALONE.spread(())

    def join(self, ranks: Ranks) -> None:
        """Have the gradients averaged over the processes of a run, as `Ranks.spread` does."""
        self.spread = ranks.spread(p for component in self.components for p in component.parameters)

    def _optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer | None]:
        """The optimizer of all but the policy, and Muon for hidden matrices where it is asked for."""
        config = self.config
        given = {"agent_lr": config.agent_lr, "qwen_lr": config.qwen_lr}
        rates = {name: given[setting] * factor for name, (setting, factor) in RATES.items()}
        kind, hidden = config.optimizer, list[nn.Parameter]()
        if kind == "muon":
            kind = "adamw"
            named = self.agent.canvas_planner.named_parameters()
            hidden = [parameter for name, parameter in named if is_hidden_matrix(name, parameter)]
        apart = {id(parameter) for parameter in hidden}
        groups = [
            (Component(c.name, tuple(p for p in c.parameters if id(p) not in apart)), rates[c.name])
            for c in self.components
            if c.name in RATES
        ]
        if self.task_prompts is not None:
            learned = self.task_prompts
            for name, parameters in (
                ("vectors", [learned.vectors]),
                ("turns", [learned.turns, learned.shifts]),
            ):
                groups.append((Component.of(name, parameters), rates[name]))
        main = make_optimizer(groups, kind, config.weight_decay)
        for group in main.param_groups:
            if group["name"] in ("vectors", "turns"):  # a rule is no smaller for being seldom seen
                group["weight_decay"] = 0.0
        if not hidden:
            return main, None
        group = {"params": hidden, "name": "hidden", "lr": rates["hidden"], "base_lr": rates["hidden"]}
        return main, BatchedMuon([group | {"weight_decay": MUON_DECAY}])

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """All but the policy's."""
        return [self.optimizer] if self.muon is None else [self.optimizer, self.muon]

    def _components(self) -> tuple[Component, ...]:
        # The prompt's own layers are clipped apart, so that the reported norm is the LM's alone.
        parts = [
            Component.of("agent", self.agent.parameters()),
            Component.of("memory", self.memory.parameters()),
            Component.of("efe_loss", self.efe_loss.parameters()),
            Component.of("lm", self.qwen.language_model.parameters()),
            Component.of("prompt", self.qwen.head_parameters()),
        ]
        if self.task_prompts is not None:
            parts.append(Component.of("task_prompts", self.task_prompts.parameters()))
        return tuple(parts)

    @property
    def models(self) -> Models:
        """Everything here that has state."""
        return Models(
            self.agent,
            self.qwen,
            self.memory,
            self.efe_loss,
            self.policy,
            self.optimizer,
            self.task_prompts,
            self.muon,
            self.mean,
        )

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Every module by the name of its part of a checkpoint."""
        return self.models.parts

    def flow(self, batch: Batch, *, explore: bool, noise: Tensor | None = None) -> Flow:
        """Run steps 2 to 5.

        Args:
            batch: On the system's device.
            explore: Draw the policy's action; its mean is taken otherwise, as in validation.
            noise: As `refine_prompt` takes it.
        """
        pack, base_prompt, hits = self.read_prompts(batch)
        summary = batch.prompt_inputs.summary
        prompt, info = self.policy.refine_prompt(
            base_prompt, pack.control_vector, summary, deterministic=not explore, noise=noise
        )
        if not self.config.refine:
            prompt = base_prompt
        inputs = batch.inputs
        with self.precision.autocast():
            features = self.agent.encode(inputs.cells, inputs.mask)
            after = self.agent.plan(features, prompt, inputs.mask, inputs.sizes)
            # The baseline shares the encoder's work and autocast's copies of the weights.
            with torch.no_grad():
                before = self.agent.plan(features, base_prompt, inputs.mask, inputs.sizes)
        return Flow(base_prompt, prompt, info, Prediction(*before), Prediction(*after), hits)

    def read_prompts(self, batch: Batch) -> tuple[PromptPack, Tensor, Tensor]:
        """Step 2: what is read of each pair's task, the prompt with what the memory adds, and its hits."""
        with self.precision.autocast():
            pack = self.qwen.encode(batch.prompt_inputs, self.config.control_weight)
        if not self.config.memory:
            return pack, pack.prompt_embedding, batch.inputs.sizes.new_zeros(len(batch))
        recall = self.memory.recall(batch.prompt_inputs.summary, batch.task_ids)
        return pack, pack.prompt_embedding + recall.addition, recall.hits

    def move_mean(self, step: int) -> None:
        """Move the averaged weights, where there are any, after a 1-based step."""
        if self.mean is not None and self.task_prompts is not None:
            self.mean.move(self.agent, self.task_prompts, step)

    def averaged(self) -> ArcSystem:
        """The system that answers with the averaged weights; itself where there are none."""
        if self.mean is None:
            return self
        found = copy.copy(self)
        found.agent, found.task_prompts = self.mean.agent, self.mean.task_prompts
        return found

    @property
    def backward_planner(self) -> Planner | None:
        """The backward planner, where the loss trains it: an untrained judge of reversibility is noise."""
        trained = self.config.backward != "flip" and self.config.lambda_bi > 0
        return self.agent.backward_planner if trained else None

    def base_rates(self) -> dict[str, float]:
        """The learning rates by the names of their settings, before the schedule."""
        groups = {group["name"]: group["base_lr"] for group in self.optimizer.param_groups}
        return {
            "agent_lr": groups["agent"],
            "qwen_lr": groups["lm"],
            "policy_lr": self.policy.optimizer.param_groups[0]["lr"],
        }

    def set_base_rate(self, name: str, rate: float) -> None:
        """Set a learning rate by its setting's name, with every group that is defined by it."""
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            setting, factor = RATES[group["name"]]
            if setting == name:
                group["base_lr"] = rate * factor
        if name == "policy_lr":
            self.policy.optimizer.param_groups[0]["lr"] = rate

    def snapshot_taker(self) -> SnapshotTaker:
        """What takes snapshots of everything here that has state."""
        return self.models.snapshot_taker()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it beside the models and optimizers."""
        return {"memory_ema": self.memory_threshold.ema, **self.precision.state()}

    def restore_state(self, saved: Mapping[str, Any]) -> None:
        """Take back what `state` gave.

        Raises:
            CheckpointError: If something is missing or of another kind; names it.
        """
        require_form(saved, {"memory_ema": 0.0}, STATE, "system")
        self.precision.restore(saved)
        self.memory_threshold.ema = float(saved["memory_ema"])
