"""The state of a run, which the stages of `train_accelerate.py` share."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from accelerate import Accelerator
from datasets import DatasetDict
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..collating_spert import SpertTrainingDataset
from ..locks import FolderLock
from ..modeling_spert import SpertModel
from ..processing_spert import SpertProcessor
from .arguments import TrainingArguments
from .averaging import WeightAverage
from .batches import ShardedBatchSampler
from .checkpoints import Checkpoints
from .interruption import EXIT_CODE, Interruption, agreed
from .objective import Objective
from .progress import Progress
from .teachers import Teachers
from .together import end_training, on_main


@dataclass
class Run:
    """A run: what `prepare` made, and how far it has come.

    Args:
        model: the model itself.
        wrapped_model: the model as accelerate prepared it: what a training step calls.
        average: of the model's weights, which the settings may ask for.
        teachers: models to learn from.
        num_steps: optimizer steps from the beginning to the end of the run.
        record: what `run.json` will say.
        lock: on the output folder; the main process holds it.
        seconds_before: how long earlier sessions of the run took.
    """

    arguments: TrainingArguments
    accelerator: Accelerator
    interruption: Interruption
    corpus: DatasetDict
    processor: SpertProcessor
    model: SpertModel
    wrapped_model: torch.nn.Module
    average: WeightAverage | None
    teachers: Teachers | None
    train_rows: SpertTrainingDataset
    sampler: ShardedBatchSampler
    loader: DataLoader
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    num_steps: int
    checkpoints: Checkpoints
    record: dict[str, Any]
    lock: FolderLock
    bar: tqdm
    progress: Progress = field(default_factory=Progress)
    seconds_before: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def num_epochs(self) -> int:
        """Epochs from the beginning to the end of the run; the last one may be cut short by `max_train_steps`."""
        return -(-self.num_steps // self.sampler.steps_per_epoch)

    @property
    def scored_model(self) -> SpertModel:
        """The model that is scored and saved: the average of the weights, or else the model itself."""
        return self.model if self.average is None else cast(SpertModel, self.average.module)

    @property
    def objective(self) -> Objective:
        """What the next step minimises."""
        arguments = self.arguments
        first = arguments.false_entity_pairs_from
        has_false_pairs = first is not None and self.progress.step >= first * self.num_steps
        return Objective(
            r_drop_weight=arguments.r_drop_weight,
            teach=self.teachers,
            distillation_weight=arguments.distillation_weight,
            num_false_entity_pairs=arguments.num_negative_relations if has_false_pairs else 0,
        )

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or no better epoch is expected."""
        patience = self.arguments.early_stopping_patience
        is_stopped_early = patience is not None and self.progress.epochs_without_improvement >= patience
        return is_stopped_early or self.progress.epoch >= self.num_epochs

    @property
    def seconds(self) -> float:
        """How long the run has taken, all its sessions together."""
        return self.seconds_before + time.monotonic() - self.started

    def print(self, text: str) -> None:
        """Print a line above the progress bar, once for all processes."""
        if self.accelerator.is_main_process:
            self.bar.write(text, file=sys.stderr)

    def save_checkpoint(self) -> None:
        """Write a checkpoint of the current step.

        Raises:
            FloatingPointError: a loss or a weight is not finite.
            OSError: the output folder is gone, or the checkpoint cannot be written.
        """
        self.refuse_divergence()
        on_main(self.accelerator, self.lock.check)
        self.progress.seconds = self.seconds
        self.checkpoints.save(self.progress)

    def exit_if_interrupted(self, is_requested: bool) -> None:
        """Write a checkpoint and exit, if any process got SIGTERM."""
        if agreed(self.accelerator, is_requested):
            self.save_checkpoint()
            self.accelerator.print(f"SIGTERM: wrote a checkpoint at step {self.progress.step}.")
            end_training(self.accelerator)
            sys.exit(EXIT_CODE)

    def refuse_divergence(self) -> None:
        """End a run that diverged. All processes have the same losses and weights, so all of them end.

        Raises:
            FloatingPointError: a loss of the epoch, or a weight, is not a finite number.
        """
        progress = self.progress
        are_weights_finite = _are_finite(list(self.model.parameters()))
        if are_weights_finite and all(map(math.isfinite, progress.losses)):
            return
        entity_loss, relation_loss = (loss / max(progress.epoch_step, 1) for loss in progress.losses)
        weights = "finite weights" if are_weights_finite else "weights that are not finite"
        latest = self.checkpoints.latest()  # a checkpoint is only written after this check
        raise FloatingPointError(
            f"Step {progress.step}, epoch {progress.epoch + 1}: expected finite losses and weights, got mean losses of "
            f"{entity_loss} (entities) and {relation_loss} (relations), and {weights}. Lower --learning_rate, which is "
            f"{self.arguments.learning_rate}. "
            + (f"The last good checkpoint is {latest}." if latest else "There is no checkpoint.")
        )


def _are_finite(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether all numbers are finite. A sum of which one is not is not finite either, and sums take little time."""
    if bool(torch.stack([tensor.sum() for tensor in tensors]).isfinite().all()):
        return True
    return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())
