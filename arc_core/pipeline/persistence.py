"""Step 11 by the seed's names: everything of the pipeline that a checkpoint keeps, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from arc_core.base.errors import CheckpointError
from arc_core.base.text import first_of
from arc_core.checkpoints.form import require_form
from arc_core.checkpoints.persistence import CheckpointFolder
from arc_core.checkpoints.restoring import OPTIMIZER, read_tensors, restore_models, restore_optimizers
from arc_core.checkpoints.snapshot import LANGUAGE_MODEL, RNG, Moment, SnapshotTaker, Text, restore_rng
from arc_core.pipeline.agent import ARCPromptGuidedAgentGPU
from arc_core.pipeline.averaged import AveragedWeights
from arc_core.pipeline.loss import EFELoss
from arc_core.pipeline.memory import PermanentSolver
from arc_core.pipeline.policy import PolicyRefinedAgent
from arc_core.pipeline.prompt import QwenHybridPrompt
from arc_core.pipeline.task_prompts import TaskPrompts
from arc_core.run.checkpoint_index import FORMAT, STATE, next_id, read_state

STATE_FORM = {
    "format": FORMAT,
    "id": 0,
    "epoch": 0,
    "batch": 0,
    "metrics": {},
    "files": [],
    "memory": {"keys": [], "stored_ever": 0},
    "optimizer": {"main": [], "policy": []},
}
"""What state.json holds whoever saves it, as `require_form` takes it; the loop's own state lies beside it."""

_BACKBONE = "language_model."
_WEIGHTS = f"{LANGUAGE_MODEL}/model.safetensors"


@dataclass(frozen=True)
class Models:
    """Everything of a run that has state, by the seed's names."""

    agent: ARCPromptGuidedAgentGPU
    qwen: QwenHybridPrompt
    solver: PermanentSolver
    efe_loss: EFELoss
    policy: PolicyRefinedAgent
    optimizer: torch.optim.Optimizer
    task_prompts: TaskPrompts | None = None
    muon: torch.optim.Optimizer | None = None
    mean: AveragedWeights | None = None

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The modules by the name of their file."""
        parts: dict[str, nn.Module] = {
            "agent": self.agent,
            "policy": self.policy,
            "memory": self.solver,
            "efe_loss": self.efe_loss,
            "prompt": self.qwen,
        }
        some = {"task_prompts": self.task_prompts, "mean": self.mean}
        return parts | {name: module for name, module in some.items() if module is not None}

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimizers by their label in a checkpoint."""
        found = {"main": self.optimizer, "policy": self.policy.optimizer}
        return found if self.muon is None else found | {"muon": self.muon}

    def tensors(self) -> dict[str, Mapping[str, Tensor]]:
        """The live tensors by the path of their file; the prompt's are without the backbone's."""
        files: dict[str, Mapping[str, Tensor]] = {
            f"{part}.safetensors": module.state_dict() for part, module in self.parts.items()
        }
        language_model, prompt = self.qwen.language_model, files["prompt.safetensors"]
        head = {name: tensor for name, tensor in prompt.items() if not name.startswith(_BACKBONE)}
        adapters = {f"adapter.{name}": tensor for name, tensor in language_model.adapter_state().items()}
        return files | {"prompt.safetensors": head | adapters, _WEIGHTS: language_model.weights()}

    def bookkeeping(self) -> dict[str, Any]:
        """What state.json keeps of them beside their tensors."""
        kept: dict[str, Any] = {"memory": self.solver.bookkeeping}
        return kept if self.task_prompts is None else kept | {"task_prompts": list(self.task_prompts.tasks)}

    def snapshot_taker(self) -> SnapshotTaker:
        """What takes snapshots of them."""
        language_model = self.qwen.language_model
        trained = any(weight.requires_grad for weight in language_model.weights().values())
        layout = language_model.layout_files()
        texts = {f"{LANGUAGE_MODEL}/{name}": Text(content) for name, content in layout.items()}
        # Small files are written anew: sharing saves nothing, and damage to one would be damage to all.
        return SnapshotTaker(self, texts, () if trained else (_WEIGHTS,))

    def restore(self, path: Path) -> dict[str, Any]:
        """Restore what was learned; optimizers and random generators are left alone.

        The language model's own weights are those of `path / "lm"`; load it from there first.

        Args:
            path: The checkpoint's folder.

        Returns:
            state.json.

        Raises:
            CheckpointError: If anything is missing or does not fit; names it.
        """
        live = {name: tensors for name, tensors in self.tensors().items() if name != _WEIGHTS}
        if self.task_prompts is not None:
            self._require_prompts_of(read_state(path), self.task_prompts)
        state = restore_models(path, live, STATE_FORM)
        try:
            self.solver.restore_bookkeeping(state["memory"])
        except ValueError as error:
            raise CheckpointError(f"{STATE}: {error}") from None
        return state

    @staticmethod
    def _require_prompts_of(state: Mapping[str, Any], prompts: TaskPrompts) -> None:
        """Refuse prompts of other tasks: each stands for one, by its place."""
        require_form(state, {"task_prompts": []}, STATE)
        saved, now = [str(task) for task in state["task_prompts"]], list(prompts.tasks)
        if saved == now:
            return
        gone = [task for task in saved if task not in now]
        new = [task for task in now if task not in saved]
        parts = [(gone, "are gone from the data"), (new, "are new in it")]
        told = "; ".join(f"{len(ids)} {what} ({first_of(ids)})" for ids, what in parts if ids)
        raise CheckpointError(
            f"it holds learned prompts of {len(saved)} tasks, of which {told or 'the order differs'}: "
            "go on with the data that it was trained with"
        )

    def load(self, path: Path) -> dict[str, Any]:
        """Restore what was learned, the optimizers and the random generators; see `restore`."""
        state = self.restore(path)
        saved, _ = read_tensors(path / OPTIMIZER)
        restore_optimizers(self.optimizers, self.parts, state["optimizer"], saved)
        restore_rng(read_tensors(path / RNG)[0])
        return state


class ModelPersistence(CheckpointFolder):
    """The seed's calls, which save and load at once; the trainer writes beside the training."""

    def save_checkpoint(
        self,
        agent: ARCPromptGuidedAgentGPU,
        qwen: QwenHybridPrompt,
        solver: PermanentSolver,
        efe_loss: EFELoss,
        policy: PolicyRefinedAgent,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        batch: int,
        metrics: Mapping[str, float],
        state: Mapping[str, Any] | None = None,
        on_saved: Callable[[Path], None] | None = None,
    ) -> Path:
        """Save a checkpoint and wait for it.

        Args:
            agent: The agent.
            qwen: The prompt with its language model.
            solver: The memory.
            efe_loss: The loss.
            policy: The policy with its own optimizer.
            optimizer: The optimizer of everything else.
            epoch: 0-based.
            batch: 0-based in the epoch; the one that was trained last.
            metrics: Numbers to show beside the checkpoint.
            state: JSON-able state of the loop, whatever else the next step depends on.
            on_saved: As for `write`.

        Returns:
            The checkpoint's folder, after it was read back.

        Raises:
            CheckpointError: As `write` does.
            OSError: As `write` does.
        """
        taker = Models(agent, qwen, solver, efe_loss, policy, optimizer).snapshot_taker()
        snapshot = taker.take(Moment(next_id(self.directory), epoch, batch, metrics, state or {}), copy=False)
        return self.write(snapshot, on_saved)

    def load_checkpoint(
        self,
        path: Path,
        agent: ARCPromptGuidedAgentGPU,
        qwen: QwenHybridPrompt,
        solver: PermanentSolver,
        efe_loss: EFELoss,
        policy: PolicyRefinedAgent,
        optimizer: torch.optim.Optimizer,
    ) -> dict[str, Any]:
        """Restore everything from a checkpoint into models of the same configuration.

        The language model's own weights are those of `path / "lm"`; load it from there first.

        Returns:
            state.json.

        Raises:
            CheckpointError: If anything is missing or does not fit; names it.
        """
        return Models(agent, qwen, solver, efe_loss, policy, optimizer).load(path)
