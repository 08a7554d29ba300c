"""The training engine. It runs as a process of its own and never imports the console.

What each phase and step of the seed document became:

| seed | what | module |
|---|---|---|
| 1 | options, presets, run directory | `config`, `rundir`, `provenance`, `environment` |
| 2a, step 2 | prompt embedding | `prompt`, `features`, `rules` |
| 2a, the language model | loading, and what is refused | `language_model`, `model_files`, `model_config` |
| 2b, steps 3 and 5 | the agent's plans and its size head | `agent` |
| 2c, step 9 | Expected Free Energy loss | `loss` |
| 2d, steps 4 and 8 | the policy that refines prompts | `policy` |
| 2e | memory; size warm-up and memory threshold | `memory`, `curriculum` |
| 2f, 2g, step 10 | optimizer, mixed precision, clipping | `optimizer` |
| 3a, step 1 | datasets, augmentation, batches | `data`, `dataset_files`, `grids`, `batch` |
| | where their files are, and what is JSON in them | `task_folder`, `json_file` |
| step 6 | resizing to the predicted size | `resize`, `system` |
| step 7 | the four reward metrics | `reward` |
| steps 1 to 10 | one training step | `step` |
| step 11 | checkpoints and resuming | `checkpoint`, `restoring`, `checkpoint_index` |
| step 6, in place of the target's size | output sizes by rules | `sizes` |
| 4, honest scores | task lists and leak guards, Kaggle's files, scoring | `protocol`, `kaggle`, `scoring` |
| 2 and 3 for one task | the solver: its agent | `solver_net`, `solver_batch`, `weights` |
| | its adaptation and votes | `solver`, `adaptation`, `solver_task`, `views`, `voting`, `pace` |
| 2 to 4 for one task | the pipeline as a solver | `pipeline_solver`, `pipeline_start`, `pipeline_pace` |
| 4 | evaluations | `evaluation`, `solve_worker`, `solving`, `solving_systems`, `weights_file` |
| 3 for the solver | its pretraining | `pretrainer`, `pretrain_numbers`, `solver_system` |
| | its data; its weights | `pretrain_data`, `extra_data`, `export_weights` |
| 3b, 4 | epochs, commands, events; validation | `loop`, `trainer`, `telemetry`, `evaluate` |
| potential issues | warnings with advice; preflight | `diagnostics`, `preflight`, `model_estimate` |

The seed's public names are exposed here and imported on first use, so that the boundary (`events`,
`commands`, `rundir`, `checkpoint_index`) is there without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arc_core.agent import ARCPromptGuidedAgentGPU
    from arc_core.checkpoint import ModelPersistence
    from arc_core.curriculum import DynamicMemoryThreshold, SizeWarmupCurriculum
    from arc_core.data import ARCDataset
    from arc_core.loss import EFELoss
    from arc_core.memory import PermanentSolver
    from arc_core.optimizer import GradientMonitor
    from arc_core.policy import PolicyRefinedAgent, PolicyRefinedConfig
    from arc_core.prompt import QwenHybridPrompt

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
]

_HOMES = {
    "ARCDataset": "data",
    "ARCPromptGuidedAgentGPU": "agent",
    "DynamicMemoryThreshold": "curriculum",
    "EFELoss": "loss",
    "GradientMonitor": "optimizer",
    "ModelPersistence": "checkpoint",
    "PermanentSolver": "memory",
    "PolicyRefinedAgent": "policy",
    "PolicyRefinedConfig": "policy",
    "QwenHybridPrompt": "prompt",
    "SizeWarmupCurriculum": "curriculum",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'arc_core' has no attribute {name!r}")
    return getattr(importlib.import_module(f"arc_core.{home}"), name)
