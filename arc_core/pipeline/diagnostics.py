"""The seed's "Potential issues" as warnings with its advice, each told once until it has passed."""

from __future__ import annotations

from arc_core.pipeline.step import StepResult
from arc_core.training.diagnostics import Finding
from arc_core.training.telemetry import Validation

LOW_REWARD = -0.5
LOW_REWARD_STEPS = 20
SILENT_LM_STEPS = 3
FLAT_DELTA = 1e-4


class Diagnostics:
    """Watches steps and validations.

    Args:
        lm_trains: Whether the language model is meant to have a gradient.
        refines: Whether the policy refines prompts, so that the accuracy delta means something.
    """

    def __init__(self, lm_trains: bool, refines: bool) -> None:
        self.lm_trains = lm_trains
        self.refines = refines
        self.silent_lm = 0
        self.low_reward = 0

    def after_step(self, result: StepResult) -> list[Finding]:
        """Look at one step's numbers."""
        if not result.applied:
            return []
        found: list[Finding] = []
        self.silent_lm = self.silent_lm + 1 if result.grad_norm["lm"] == 0.0 else 0
        if self.lm_trains and self.silent_lm == SILENT_LM_STEPS:
            found.append(
                Finding(
                    "lm_gradient_zero",
                    f"The language model has had no gradient for {SILENT_LM_STEPS} steps.",
                    "Check qwen_lr, control_weight (1 leaves the language out) and lm_train.",
                )
            )
        self.low_reward = self.low_reward + 1 if result.reward["total"] < LOW_REWARD else 0
        if self.low_reward == LOW_REWARD_STEPS:
            found.append(
                Finding(
                    "reward_low",
                    f"The reward has been below {LOW_REWARD} for {LOW_REWARD_STEPS} steps "
                    f"(d_acc {result.reward['d_acc']:+.3f}).",
                    "If d_acc is negative the predictions get worse: check the prompt (its rule sentences).",
                )
            )
        return found

    def after_validation(
        self, epoch: int, size_weight: float, mask_ratio: float, found: Validation
    ) -> list[Finding]:
        """Look at a validation at the end of a 0-based epoch."""
        if not self.refines or found.accuracy_delta is None or abs(found.accuracy_delta) >= FLAT_DELTA:
            return []
        return [
            Finding(
                "accuracy_delta_flat",
                f"Refining the prompt changes validation accuracy by {found.accuracy_delta:+.5f} "
                f"after epoch {epoch}.",
                f"Check the size weight ({size_weight:.3f}; 1.0 in epoch 0) and the mask ratio "
                f"({mask_ratio:.3f}; above 0).",
            )
        ]
