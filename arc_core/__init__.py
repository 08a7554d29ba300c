"""The training engine. It runs as a process of its own and never imports the console.

What each phase and step of the seed document became:

| seed | what | module |
|---|---|---|
| 1 | options, presets, run directory | `run.config`, `run.directory`, `run.provenance`, `base.environment` |
| 2a, step 2 | prompt embedding | `pipeline.prompt`, `data.features`, `data.rules` |
| 2a, the language model | loading, and what is refused | `pipeline.language_model` |
| | | `pipeline.language_model_files` |
| 2, step 2, for a known task | a prompt learned for each task | `pipeline.task_prompts` |
| 2b, steps 3 and 5 | the agent: which planner, and the backward one | `pipeline.agent` |
| | planners: on the output's canvas, the seed's | `pipeline.canvas_planner`, `pipeline.planner` |
| | pairs laid out on canvases | `pipeline.canvas`, `pipeline.laying` |
| | | `pipeline.placed_task` |
| | steps 2 to 5 on canvases | `pipeline.canvas_flow` |
| 2c, step 9 | Expected Free Energy loss | `pipeline.loss`, `pipeline.loss_terms`, `pipeline.canvas_loss` |
| 2d, steps 4 and 8 | the policy that refines prompts | `pipeline.policy` |
| 2e | memory; size warm-up and memory threshold | `pipeline.memory`, `pipeline.curriculum` |
| 2f, 2g, step 10 | optimizer, mixed precision, clipping | `training.optimizer`, `pipeline.muon` |
| 3a, step 1 | datasets, augmentation, batches | `data.dataset`, `data.tasks`, `data.grids` |
| | | `pipeline.batch`, `pipeline.padding` |
| | where their files are, and what is JSON in them | `data.task_folder` |
| step 6 | resizing to the predicted size | `pipeline.resize`, `pipeline.system` |
| step 7 | the four reward metrics | `pipeline.reward` |
| steps 1 to 10 | one training step | `pipeline.step`, `pipeline.canvas_step` |
| step 11 | checkpoints and resuming | `pipeline.persistence`, `checkpoints.snapshot` |
| | | `checkpoints.persistence`, `checkpoints.restoring`, `run.checkpoint_index` |
| step 6, in place of the target's size | output sizes by rules | `data.sizes` |
| 4, honest scores | task lists and leak guards, Kaggle's files, scoring | `data.seen`, `data.kaggle` |
| | | `data.scoring` |
| 2 and 3 for one task | adaptation and votes | `solver.solver`, `solver.start`, `solver.adaptation` |
| | | `solver.voting`, `solver.weights`, `data.views`, `evaluation.pace` |
| 2 to 4 for one task | the pipeline as a solver | `evaluation.pipeline`, `evaluation.pipeline_start` |
| 4 | evaluations | `evaluation.folder`, `evaluation.worker`, `evaluation.solving` |
| | | `solver.weights_file` |
| 3 for the solver | what it is pretrained on; its weights | `data.generated`, `data.kept_away` |
| | | `pipeline.startup`, `pipeline.averaged`, `evaluation.export` |
| 3b, 4 | epochs, commands, events; validation | `training.loop`, `pipeline.recipe`, `training.telemetry` |
| | | `pipeline.validation` |
| | what a recipe is, and what its steps carry | `training.recipe`, `run.declared`, `run.recipes` |
| | models that need nothing of their own; a check | `training.models`, `recipe_check` |
| potential issues | warnings with advice; preflight | `pipeline.diagnostics`, `pipeline.preflight` |
| | | `training.diagnostics`, `training.preflight` |

`tracking` is beside that table: training loops that are not ours, told as runs (`track`, `TrainerCallback`).

The seed's public names are exposed here and imported on first use, so that the boundary (`run.events`,
`run.commands`, `run.directory`, `run.checkpoint_index`) is there without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arc_core.data.dataset import ARCDataset
    from arc_core.pipeline.agent import ARCPromptGuidedAgentGPU
    from arc_core.pipeline.curriculum import DynamicMemoryThreshold, SizeWarmupCurriculum
    from arc_core.pipeline.loss import EFELoss
    from arc_core.pipeline.memory import PermanentSolver
    from arc_core.pipeline.persistence import ModelPersistence
    from arc_core.pipeline.policy import PolicyRefinedAgent, PolicyRefinedConfig
    from arc_core.pipeline.prompt import QwenHybridPrompt
    from arc_core.recipe_check import check_recipe
    from arc_core.tracking.start import track
    from arc_core.tracking.trainer_callback import TrainerCallback
    from arc_core.training.optimizer import GradientMonitor

__all__ = [
    "ARCDataset",
    "ARCPromptGuidedAgentGPU",
    "DynamicMemoryThreshold",
    "EFELoss",
    "GradientMonitor",
    "ModelPersistence",
    "PermanentSolver",
    "PolicyRefinedAgent",
    "PolicyRefinedConfig",
    "QwenHybridPrompt",
    "SizeWarmupCurriculum",
    "TrainerCallback",
    "check_recipe",
    "track",
]

_HOMES = {
    "ARCDataset": "data.dataset",
    "ARCPromptGuidedAgentGPU": "pipeline.agent",
    "DynamicMemoryThreshold": "pipeline.curriculum",
    "EFELoss": "pipeline.loss",
    "GradientMonitor": "training.optimizer",
    "ModelPersistence": "pipeline.persistence",
    "PermanentSolver": "pipeline.memory",
    "PolicyRefinedAgent": "pipeline.policy",
    "PolicyRefinedConfig": "pipeline.policy",
    "QwenHybridPrompt": "pipeline.prompt",
    "SizeWarmupCurriculum": "pipeline.curriculum",
    "TrainerCallback": "tracking.trainer_callback",
    "check_recipe": "recipe_check",
    "track": "tracking.start",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'arc_core' has no attribute {name!r}")
    return getattr(importlib.import_module(f"arc_core.{home}"), name)
