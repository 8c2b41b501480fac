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
    seed: int = field(default=42, metadata={"help": "Decides weights, order, negatives and dropout."})
    dataloader_num_workers: int = field(default=0, metadata={"help": "Processes that prepare batches."})
    gradient_checkpointing: bool = field(default=False, metadata={"help": "Less memory for more computation."})
    # The result
    output_dir: str = field(default="outputs/spert", metadata={"help": "The folder for the model and its scores."})
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "Replace the trained model that stands in output_dir."}
    )

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
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"--{name}: expected a number above 0, got {getattr(self, name)}.")

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
