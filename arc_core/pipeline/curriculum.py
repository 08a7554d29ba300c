"""Phase 2e: the two schedules, of the size term's weight and of the memory's threshold."""

from __future__ import annotations


class SizeWarmupCurriculum:
    """Weight of the size term: full at first, so that sizes are learned before cells (fix 4).

    Args:
        warmup_epochs: Epochs over which the weight falls.
        start: Weight in epoch 0.
        end: Weight from `warmup_epochs` on.
    """

    def __init__(self, warmup_epochs: int = 3, start: float = 1.0, end: float = 0.5) -> None:
        self.warmup_epochs = warmup_epochs
        self.start = start
        self.end = end

    @classmethod
    def skipped(cls) -> SizeWarmupCurriculum:
        """The weight that the warm-up ends at, from the first epoch on."""
        course = cls()
        return cls(start=course.end, end=course.end)

    def get_size_loss_weight(self, epoch: int) -> float:
        """Weight in `epoch` (0-based): 1.0, 0.833, 0.667, then 0.5."""
        progress = min(epoch / self.warmup_epochs, 1.0)
        return self.start - progress * (self.start - self.end)


class DynamicMemoryThreshold:
    """Accuracy from which a pair is worth remembering: a margin above the running mean (fix 5).

    Args:
        initial: Running mean before the first update.
        momentum: Weight of the new value.
        margin: Factor of the threshold over the mean.
    """

    def __init__(self, initial: float = 0.2, momentum: float = 0.1, margin: float = 1.10) -> None:
        self.ema = initial
        self.momentum = momentum
        self.margin = margin

    def update(self, accuracy: float) -> float:
        """Take in a step's mean cell accuracy and return the new threshold."""
        self.ema += self.momentum * (accuracy - self.ema)
        return self.get_threshold()

    def get_threshold(self) -> float:
        """Threshold now; never above 1, so that an exact pair can always be stored."""
        return min(self.margin * self.ema, 1.0)
