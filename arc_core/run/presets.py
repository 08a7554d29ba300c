"""The names of the built-in recipes, and the presets."""

from __future__ import annotations

from arc_core.base.options import Value

PIPELINE, SOLVER = SYSTEMS = ("pipeline", "solver")
"""What is built in to solve tasks: the seed's whole pipeline, or the solver, which adapts its agent alone."""

RECIPES = (PIPELINE,)
"""What is built in to be trained. Earlier versions had the recipe `solver` too."""

TRACK = "track"
"""What stands in place of a recipe's name in a run that a training loop of its own tells of."""

_TINY: dict[str, Value] = {
    "planner": "canvas",
    "epochs": 25,
    "agent_lr": 3e-3,
    "qwen_lr": 1e-3,
    "policy_lr": 1e-3,
    "optimizer": "muon",
    "batch_size": 32,
    "hidden_dim": 48,
    "prompt_dim": 128,
    "weight_decay": 0.01,
    "schedule": "cosine",
    "warmup_steps": 100,
    "lambda_risk": 0.0,
    "lambda_step": 0.0,
    "lambda_bi": 0.0,
    "lambda_z": 0.0,
    "lambda_prompt": 0.0,
    "lambda_size": 0.1,
    "hard_cell_gain": 0.0,
    "memory": False,
    "ema": 0.999,
    "policy_pairs": 2,
    "judged_draws": 2,
    "answer_views": 8,
    "validate_every": 5,
}

PRESETS: dict[str, dict[str, Value]] = {
    "tiny": _TINY,
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
        **_TINY,
        "dataset": "arcagi1",
        "keep_away": True,
        "validate_on": "fresh",
        "epochs": 200,
        "batch_size": 64,
        "hidden_dim": 64,
        "warmup_steps": 200,
        "lm_train": "frozen",
        "vector_dropout": 0.0,
        "refine": False,
        "policy_pairs": 1,
        "judged_draws": 0,
        "answer_views": 1,
        "reward_weight": 0.0,
        "validate_every": 1,
        "checkpoint_every": 500,
    },
}
"""What each preset sets apart from the defaults. `tiny` is the defaults; `seed` is the seed's own command;
`solver` pretrains the agent that `arc-tui solve` and `eval` start from, on other data."""
