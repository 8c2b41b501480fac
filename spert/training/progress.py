"""The position of a run: what a checkpoint holds besides weights, optimizer and random states."""

import os
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

from ..schemas import STRICT, read_checked

_Count = Annotated[int, Field(ge=0)]


def _checked_row(row: dict[str, int | float]) -> dict[str, int | float]:
    missing = {"epoch", "step", "entity_loss", "relation_loss"} - row.keys()
    if missing:
        raise ValueError(f"expected numbers for {', '.join(sorted(missing))}")
    return row


@dataclass
class Best:
    """The best epoch so far, by validation score.

    Args:
        epoch: its number, counted from 1.
        step: optimizer steps done when it ended.
        score: its validation score.
        digest: the SHA-256 of its weights' file, if the run keeps them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    epoch: Annotated[int, Field(ge=1)]
    step: _Count
    score: float
    digest: str | None = None


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

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    epoch: _Count = 0
    epoch_step: _Count = 0
    step: _Count = 0
    losses: Annotated[list[float], Field(min_length=2, max_length=2)] = field(default_factory=lambda: [0.0, 0.0])
    dev_scores: list[Annotated[dict[str, int | float], AfterValidator(_checked_row)]] = field(default_factory=list)
    best: Best | None = None
    epochs_without_improvement: _Count = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0

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
    def read(cls, path: str | os.PathLike[str]) -> "Progress":
        """Read the file that [`to_json`] was written to.

        Raises:
            ValueError: a field is missing, unknown, or of another type; the message names file and field.
        """
        return read_checked(path, _SCHEMA)


_SCHEMA = TypeAdapter(Progress)
