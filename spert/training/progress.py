"""The position of a run: what a checkpoint holds besides weights, optimizer and random states."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Best:
    """The best epoch so far, by validation score."""

    epoch: int
    step: int
    score: float


@dataclass
class Progress:
    """The position in a run.

    Args:
        epoch: completed epochs, scoring included.
        epoch_step: optimizer steps done in the current epoch.
        step: optimizer steps done in all.
        losses: sums of the entity and the relation loss over the steps of the current epoch.
        dev_scores: a row for each completed epoch.
        best: the best epoch so far, if there are validation scores.
        epochs_without_improvement: completed epochs after the best one.
        seconds: how long the run has taken, in all of its sessions together.
    """

    epoch: int = 0
    epoch_step: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=lambda: [0.0, 0.0])
    dev_scores: list[dict[str, Any]] = field(default_factory=list)
    best: Best | None = None
    epochs_without_improvement: int = 0
    seconds: float = 0.0

    def end_epoch(self, row: dict[str, Any], metric: str) -> bool:
        """Count an epoch as completed. Returns whether its validation score is better than all before."""
        self.epoch += 1
        self.epoch_step = 0
        self.losses = [0.0, 0.0]
        self.dev_scores.append(row)
        if metric not in row:
            return False
        if self.best is not None and row[metric] <= self.best.score:
            self.epochs_without_improvement += 1
            return False
        self.best = Best(self.epoch, self.step, row[metric])
        self.epochs_without_improvement = 0
        return True

    def to_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Progress":
        """What `to_json` gave."""
        best = values["best"]
        return cls(**{**values, "best": best and Best(**best)})
