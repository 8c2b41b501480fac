"""What `train_accelerate.py` can be told: a YAML recipe gives defaults, flags override it."""

import dataclasses
import difflib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser

from ..configuration_spert import RELATION_CONTEXTS, SPAN_POOLINGS
from ..corpora.ade import NUM_FOLDS as ADE_FOLDS
from ..evaluation.scores import AVERAGES, FIGURES, PRIMARY_SCORE, TASKS


@dataclass
class TrainingArguments:
    """The paper's settings are the defaults (sections 3.4 and 4.1)."""

    # The corpus
    dataset_name: str | None = field(
        default=None, metadata={"help": "A corpus by name (conll04), or a folder or file of SpERT JSON."}
    )
    data_dir: str | None = field(
        default=None, metadata={"help": "The folder that holds a named corpus's files. Default: they are downloaded."}
    )
    train_file: str | None = field(default=None, metadata={"help": "SpERT JSON to train on."})
    validation_file: str | None = field(default=None, metadata={"help": "SpERT JSON to score after each epoch."})
    test_file: str | None = field(default=None, metadata={"help": "SpERT JSON to score at the end."})
    types_file: str | None = field(
        default=None, metadata={"help": "The types of one's own files. Default: those that the files use, by name."}
    )
    train_on_validation: bool = field(
        default=False,
        metadata={"help": "Train on the validation split as well, as the paper does in the end."},
    )
    folds: str | None = field(
        default=None,
        metadata={"help": "Cross-validation: `all` folds that ade comes in (ten), or the number to cut a corpus into."},
    )
    only_folds: str | None = field(
        default=None, metadata={"help": "Train these folds now, such as 0,1,2; the table holds those that are done."}
    )
    fold: int | None = field(default=None, metadata={"help": "Train this fold as a single run."})
    # The model
    model_name_or_path: str = field(
        default="google-bert/bert-base-cased", metadata={"help": "A pre-trained encoder, on the Hub or in a folder."}
    )
    model_revision: str = field(default="main", metadata={"help": "The encoder's branch, tag or commit on the Hub."})
    max_span_width: int = field(default=10, metadata={"help": "The widest candidate span, in words."})
    width_embedding_size: int = field(default=25, metadata={"help": "Length of a width embedding."})
    head_dropout: float = field(default=0.1, metadata={"help": "Dropout on each joined span or pair vector."})
    span_pooling: str = field(
        default="max", metadata={"help": "How pieces become a span.", "choices": list(SPAN_POOLINGS)}
    )
    relation_context: str = field(
        default="localized", metadata={"help": "The context of a pair.", "choices": list(RELATION_CONTEXTS)}
    )
    relation_threshold: float = field(default=0.4, metadata={"help": "Scores of at least this are relations."})
    # Training
    num_negative_spans: int = field(default=100, metadata={"help": "Random non-entity spans a sentence."})
    num_negative_relations: int = field(default=100, metadata={"help": "Unrelated pairs of gold entities a sentence."})
    weak_negative_relations: bool = field(
        default=False, metadata={"help": "Pairs of random spans in place of unrelated gold entities (an ablation)."}
    )
    per_device_train_batch_size: int = field(default=2, metadata={"help": "Sentences a process and forward pass."})
    per_device_eval_batch_size: int = field(default=16, metadata={"help": "Sentences a process, when scoring."})
    gradient_accumulation_steps: int = field(default=1, metadata={"help": "Forward passes an optimizer step."})
    num_train_epochs: int = field(default=20, metadata={"help": "Passes through the training sentences."})
    max_train_steps: int | None = field(
        default=None, metadata={"help": "Optimizer steps in all; overrides num_train_epochs."}
    )
    learning_rate: float = field(default=5e-5, metadata={"help": "AdamW's peak learning rate."})
    warmup_ratio: float = field(default=0.1, metadata={"help": "Share of the steps in which the rate rises linearly."})
    weight_decay: float = field(default=0.01, metadata={"help": "Not applied to biases and layer norms."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "The gradient's norm is brought down to this."})
    head_learning_rate: float | None = field(
        default=None, metadata={"help": "Peak rate of the two classifiers and the width table. Default: learning_rate."}
    )
    layerwise_lr_decay: float | None = field(
        default=None, metadata={"help": "Each encoder layer's rate is this times that of the layer above, such as 0.9."}
    )
    freeze_encoder: bool = field(default=False, metadata={"help": "Train the heads only; the encoder stays as it is."})
    seed: int = field(default=42, metadata={"help": "Decides weights, order, negatives and dropout."})
    seeds: str | None = field(
        default=None, metadata={"help": "Several runs, such as 1,2,3, and a table with mean and standard deviation."}
    )
    dataloader_num_workers: int = field(default=0, metadata={"help": "Processes that prepare batches."})
    gradient_checkpointing: bool = field(default=False, metadata={"help": "Less memory for more computation."})
    # Interruption
    checkpointing_steps: str | None = field(
        default=None, metadata={"help": "Write a checkpoint every so many optimizer steps, or every `epoch`."}
    )
    save_total_limit: int = field(default=2, metadata={"help": "How many checkpoints are kept; older ones go."})
    resume_from_checkpoint: str | None = field(
        default=None, metadata={"help": "A checkpoint's folder, or `latest`: that of output_dir, if there is one."}
    )
    # Choosing
    metric_for_best_model: str = field(
        default=PRIMARY_SCORE, metadata={"help": "The dev score that decides which epoch is best."}
    )
    load_best_model_at_end: bool = field(
        default=False, metadata={"help": "The best epoch's model is the result, in place of the last one's."}
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={"help": "Stop after so many epochs without a better dev score, and take the best epoch's model."},
    )
    # Seeing
    logging_steps: int = field(default=10, metadata={"help": "Optimizer steps between two reports of the loss."})
    with_tracking: bool = field(default=False, metadata={"help": "Report losses and scores to trackers."})
    report_to: str = field(
        default="all", metadata={"help": "Trackers by name, such as tensorboard,wandb; or all that are installed."}
    )
    # The result
    output_dir: str = field(default="outputs/spert", metadata={"help": "The folder for the model and its scores."})
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "Replace the model, or the checkpoints, that stand in output_dir."}
    )
    push_to_hub: bool = field(default=False, metadata={"help": "Upload the result to the Hub, in one commit."})
    hub_model_id: str | None = field(
        default=None, metadata={"help": "The repository, such as org/spert-conll04. Default: output_dir's name."}
    )
    hub_token: str | None = field(default=None, metadata={"help": "Default: the one that `hf auth login` saved."})
    hub_private_repo: bool = field(default=False, metadata={"help": "Make the repository a private one."})

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything is loaded."""
        if (self.dataset_name is None) == (self.train_file is None):
            raise ValueError(
                f"Expected either --dataset_name or --train_file, got dataset_name={self.dataset_name!r} and "
                f"train_file={self.train_file!r}."
            )
        if self.dataset_name is not None and (self.validation_file or self.test_file):
            raise ValueError("--validation_file and --test_file go with --train_file, not with --dataset_name.")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"--{name}: expected at least {least}, got {value}.")
        if not 0 <= self.warmup_ratio <= 1:
            raise ValueError(f"--warmup_ratio: expected a number from 0 to 1, got {self.warmup_ratio}.")
        for name in ("learning_rate", "head_learning_rate", "max_grad_norm", "layerwise_lr_decay"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"--{name}: expected a number above 0, got {value}.")
        self._refuse_bad_choices()
        self._refuse_bad_repetitions()

    def _refuse_bad_choices(self) -> None:
        steps = self.checkpointing_steps
        if steps is not None and steps != "epoch" and not (steps.isdigit() and int(steps) > 0):
            raise ValueError(f"--checkpointing_steps: expected a number of steps above 0, or epoch, got {steps!r}.")
        scores = [f"{task}_{average}_{name}" for task in TASKS for average in AVERAGES for name in FIGURES]
        if self.metric_for_best_model not in scores:
            raise ValueError(
                f"--metric_for_best_model: expected one of {', '.join(scores)}, got {self.metric_for_best_model!r}."
            )
        if self.keeps_best and self.train_on_validation:
            raise ValueError(
                "--train_on_validation leaves no sentences to choose an epoch by: take --load_best_model_at_end and "
                "--early_stopping_patience out."
            )
        if self.freeze_encoder and self.layerwise_lr_decay is not None:
            raise ValueError("--freeze_encoder leaves no layers to train: take --layerwise_lr_decay out.")

    def _refuse_bad_repetitions(self) -> None:
        for name in ("seeds", "only_folds"):
            value = getattr(self, name)
            if value is not None and not all(part.strip().isdigit() for part in value.split(",")):
                raise ValueError(f"--{name}: expected whole numbers such as 1,2,3, got {value!r}.")
        if self.folds is not None and self.folds != "all" and not (self.folds.isdigit() and int(self.folds) > 1):
            raise ValueError(
                f"--folds: expected all, or a number of folds above 1, got {self.folds!r}. To train some of them only, "
                f"add --only_folds 0,1,2."
            )
        if self.folds == "all" and self.dataset_name != "ade":
            raise ValueError("--folds all: only ade comes in folds. Say how many to cut the corpus into: --folds 10.")
        if self.folds is None and (self.fold is not None or self.only_folds is not None):
            raise ValueError("--fold and --only_folds go with --folds.")
        if self.folds is not None:
            chosen = [self.fold] if self.fold is not None else self.chosen_folds
            for fold in chosen:
                if fold is not None and not 0 <= fold < self.num_folds:
                    raise ValueError(f"--only_folds: expected folds from 0 to {self.num_folds - 1}, got {fold}.")
        if self.is_several_runs and self.push_to_hub:
            raise ValueError("--push_to_hub uploads one model: several runs give several. Push one with `spert push`.")

    @property
    def keeps_best(self) -> bool:
        """Whether the best epoch's model is the result."""
        return self.load_best_model_at_end or self.early_stopping_patience is not None

    @property
    def steps_between_checkpoints(self) -> int | None:
        """Optimizer steps from one checkpoint to the next; `None` where they come with epochs, or never."""
        steps = self.checkpointing_steps
        return None if steps is None or steps == "epoch" else int(steps)

    @property
    def num_folds(self) -> int:
        """How many folds the corpus is cut into."""
        return ADE_FOLDS if self.folds == "all" else int(self.folds or 0)

    @property
    def chosen_folds(self) -> list[int | None]:
        """The folds to train one after the other; `[None]` without folds."""
        if self.folds is None:
            return [None]
        chosen = range(self.num_folds) if self.only_folds is None else map(int, self.only_folds.split(","))
        return list(dict.fromkeys(chosen))

    @property
    def chosen_seeds(self) -> list[int]:
        """The seeds to train with one after the other."""
        return [self.seed] if self.seeds is None else list(dict.fromkeys(map(int, self.seeds.split(","))))

    @property
    def is_several_runs(self) -> bool:
        """Whether folds or seeds make this command a row of runs."""
        return self.seeds is not None or (self.folds is not None and self.fold is None)

    def config_fields(self) -> dict[str, Any]:
        """The fields of `SpertConfig` that are settings of a run; the corpus decides the others."""
        names = (
            "max_span_width",
            "width_embedding_size",
            "head_dropout",
            "span_pooling",
            "relation_context",
            "relation_threshold",
        )
        return {name: getattr(self, name) for name in names}


_LEAST = {
    "num_negative_spans": 0,
    "num_negative_relations": 0,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 1,
    "max_train_steps": 1,
    "weight_decay": 0,
    "dataloader_num_workers": 0,
    "save_total_limit": 1,
    "early_stopping_patience": 1,
    "logging_steps": 1,
}


def parse_arguments(argv: Sequence[str] | None = None) -> TrainingArguments:
    """Read `[recipe.yaml] [--flag value …]`.

    Raises:
        ValueError: the recipe names a setting that does not exist, or a value cannot work.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    # The library annotates a type that mypy takes for an instance.
    parser = HfArgumentParser(TrainingArguments, description="Train a SpERT model with accelerate.")  # type: ignore[arg-type]
    parser.usage = "accelerate launch train_accelerate.py [recipe.yaml] [--flag value ...]"
    if argv and not argv[0].startswith("-"):
        recipe = argv.pop(0)
        parser.set_defaults(**read_recipe(recipe))
    (arguments,) = parser.parse_args_into_dataclasses(argv)
    return arguments


def read_recipe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings in a YAML file, each of the type that its flag has."""
    values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected settings, one `name: value` a line, got {type(values).__name__}.")
    known = {one.name: one for one in dataclasses.fields(TrainingArguments)}
    for name, value in values.items():
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            raise ValueError(f"{path}: unknown setting {name!r}" + (f"; did you mean {close[0]!r}?" if close else "."))
        expected = known[name].type
        if expected is float and isinstance(value, int) and not isinstance(value, bool):
            values[name] = float(value)
        elif expected in (bool, float, int, str) and type(value) is not expected:
            hint = " (YAML reads 5e-5 as text: write 5.0e-5)" if expected is float else ""
            raise ValueError(f"{path}, {name}: expected a value of type {expected.__name__}, got {value!r}{hint}.")
    return values
