"""What can be trained, the options that belong to each, and the presets."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from arc_core.base.loose import mapping
from arc_core.base.options import Value
from arc_core.run.declared import Declared
from arc_core.run.declared_json import DECLARED, declared_from_json

PIPELINE, SOLVER = RECIPES = ("pipeline", "solver")
"""What can be trained, and what can solve tasks: the seed's whole pipeline, or the solver's agent alone."""

OF_OTHER_RECIPES: dict[str, tuple[str, ...]] = {
    PIPELINE: ("agent_options", "extra_data"),
    SOLVER: (
        *("qwen_lr", "policy_lr", "max_context", "max_pairs", "lm", "lm_train", "lm_dtype", "control_weight"),
        *("memory", "memory_capacity", "refine", "lambda_risk", "lambda_amb", "lambda_step", "lambda_cons"),
        *("lambda_bi", "lambda_z", "lambda_prompt", "lambda_size", "size_warmup", "reward_weight"),
        *("hard_cell_gain", "backward"),
    ),
}
"""The options that a recipe does not have, since they belong to the other one."""

PRESETS: dict[str, dict[str, Value]] = {
    "tiny": {},
    "seed": {
        "epochs": 20,
        "agent_lr": 1e-4,
        "qwen_lr": 1e-4,
        "batch_size": 1,
        "lm": "Qwen/Qwen2.5-1.5B",
        "lm_dtype": "float32",
        "optimizer": "adam",
    },
    "solver": {
        "recipe": "solver",
        "dataset": "arcagi1",
        "epochs": 200,
        "agent_lr": 3e-3,
        "optimizer": "muon",
        "batch_size": 64,
        "hidden_dim": 64,
        "prompt_dim": 128,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup_steps": 200,
        "checkpoint_every": 500,
    },
}
"""What each preset sets apart from the defaults. `tiny` is the defaults; `seed` is the seed's own command;
`solver` pretrains the agent that `arc-tui solve` and `eval` start from."""

_DECLARED_BY = {PIPELINE: "arc_core.pipeline.declared", SOLVER: "arc_core.pretraining.declared"}
"""Where it stands what the built-in recipes declare."""


def declaration_of(run_json: Mapping[str, Any]) -> Declared:
    """Return what the steps of a run carry, without importing anything of a recipe that is not built in.

    Args:
        run_json: What its run.json holds. Runs of earlier versions hold no declaration: theirs is that of
            their recipe. That of a run of another recipe whose process has not noted it yet is empty.
    """
    stored = declared_from_json(run_json.get(DECLARED))
    if stored is not None:
        return stored
    config = mapping(run_json, "config") or {}
    home = _DECLARED_BY.get(str(config.get("recipe", PIPELINE)))
    return Declared() if home is None else importlib.import_module(home).declared_by(config)


def recipe_class(name: str) -> Any:
    """Import the class of a recipe."""
    home = {PIPELINE: "arc_core.pipeline.recipe:Pipeline", SOLVER: "arc_core.pretraining.recipe:Pretraining"}
    module, _, found = home[name].partition(":")
    return getattr(importlib.import_module(module), found)
