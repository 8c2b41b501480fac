"""`run.json`: enough to repeat a run, and what became of it."""

import dataclasses
import platform
import shlex
import sys
from importlib import metadata
from typing import Any

from accelerate import Accelerator
from datasets import DatasetDict

from .. import __version__
from ..corpora.statistics import fingerprint_of
from ..modeling_spert import SpertModel
from .arguments import TrainingArguments

RUN = "run.json"

_PACKAGES = ("accelerate", "datasets", "huggingface_hub", "safetensors", "tokenizers", "torch", "transformers")

NO_MATTER = {
    "checkpointing_steps",
    "data_dir",
    "dataloader_num_workers",
    "hub_model_id",
    "hub_private_repo",
    "hub_token",
    "logging_steps",
    "only_folds",
    "output_dir",
    "overwrite_output_dir",
    "per_device_eval_batch_size",
    "push_to_hub",
    "report_to",
    "resume_from_checkpoint",
    "save_total_limit",
    "seeds",
    "with_tracking",
}
"""Settings that may differ between a run and its continuation: how it is shown and kept, and what comes afterwards."""

_NAMES = {"dataset_name", "model_name_or_path", "test_file", "train_file", "types_file", "validation_file"}
"""Settings that only name what the identity knows by its content."""


def identity_of(
    arguments: TrainingArguments, model: SpertModel, corpus: DatasetDict, accelerator: Accelerator
) -> dict[str, Any]:
    """Everything that decides the weights that a run ends with: only runs that agree in it continue each other."""
    config = model.config.to_dict()
    config.pop("transformers_version", None)
    settings = {name: value for name, value in settings_of(arguments).items() if name not in NO_MATTER | _NAMES}
    return {
        "model": config,
        "corpus": {split: fingerprint_of(rows) for split, rows in corpus.items()},
        "settings": settings,
        "num_processes": accelerator.num_processes,
        "mixed_precision": accelerator.mixed_precision,
    }


def settings_of(arguments: TrainingArguments) -> dict[str, Any]:
    """All settings but secrets."""
    settings = dataclasses.asdict(arguments)
    settings.pop("hub_token")
    return settings


def run_record(
    arguments: TrainingArguments, identity: dict[str, Any], corpus: DatasetDict, accelerator: Accelerator
) -> dict[str, Any]:
    """What `run.json` says before anything is known of the outcome."""
    command, secret = list(sys.argv), arguments.hub_token
    return {
        "command": shlex.join("<token>" if secret and secret in word else word for word in command),
        "settings": settings_of(arguments),
        "identity": identity,
        "corpus": {
            split: {"sentences": len(rows), "about": (rows.info.description or "").split("\n")[0]}
            for split, rows in corpus.items()
        },
        "machine": {
            "device": str(accelerator.device.type),
            "num_processes": accelerator.num_processes,
            "mixed_precision": accelerator.mixed_precision,
            "processor": platform.machine(),
            "system": platform.system(),
        },
        "versions": {"python": platform.python_version(), "spert": __version__}
        | {name: metadata.version(name) for name in _PACKAGES},
    }
