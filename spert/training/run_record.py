"""`run.json`: what it takes to repeat a run, and how the run ended."""

import dataclasses
import platform
import shlex
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from accelerate import Accelerator
from datasets import DatasetDict
from pydantic import ConfigDict, TypeAdapter

from .. import __version__
from ..corpora.statistics import fingerprint_of
from ..modeling_spert import SpertModel
from ..schemas import PARTIAL, read_checked
from ..transfer_spert import HeadTransfer
from .arguments import TrainingArguments
from .output import is_trained
from .settings import meanings_of

RUN = "run.json"

_PACKAGES = ("accelerate", "datasets", "huggingface_hub", "safetensors", "tokenizers", "torch", "transformers")


@dataclass
class _Record:
    """The fields of `run.json` that decide whether a run can continue."""

    __pydantic_config__: ClassVar[ConfigDict] = PARTIAL

    settings: dict[str, Any]
    finished: bool = False


_RECORD_SCHEMA = TypeAdapter(_Record)


def identity_of(
    arguments: TrainingArguments, model: SpertModel, corpus: DatasetDict, accelerator: Accelerator
) -> dict[str, Any]:
    """Everything that decides the final weights of a run: it continues only from checkpoints with the same identity."""
    config = model.config.to_dict()
    config.pop("transformers_version", None)
    return {
        "model": config,
        "corpus": {split: fingerprint_of(rows) for split, rows in corpus.items()},
        "settings": {
            name: getattr(arguments, name)
            for name, meaning in meanings_of(arguments).items()
            if meaning.role == "result"
        },
        "num_processes": accelerator.num_processes,
        "mixed_precision": accelerator.mixed_precision,
    }


def run_record(
    arguments: TrainingArguments, identity: dict[str, Any], corpus: DatasetDict, accelerator: Accelerator
) -> dict[str, Any]:
    """The content of `run.json` before the run has ended."""
    command, secret = list(sys.argv), arguments.hub_token
    return {
        "finished": False,
        "command": shlex.join("<token>" if secret and secret in word else word for word in command),
        "settings": arguments.to_dict(),
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


def describe_transfer(name_or_path: str, transfer: HeadTransfer) -> str:
    """A line that says what a run takes over from the SpERT model that it starts from."""
    parts = ["encoder"]
    if transfer.width_embeddings:
        parts.append("width embeddings")
    for field, types in (("entity", transfer.entity_types), ("relation", transfer.relation_types)):
        if types:
            parts.append(f"heads of the {field} types {', '.join(types)}")
    return f"Starting from the SpERT model {name_or_path}, with its {'; '.join(parts)}. Everything else is random."


def is_finished(run: TrainingArguments) -> bool:
    """Whether a run's folder holds its result: the model and all that was made from it.

    Raises:
        FileExistsError: it holds the result of other settings.
    """
    record = _record_in(run)
    return record is not None and record.finished


def is_unfinished(run: TrainingArguments) -> bool:
    """Whether a run was interrupted after its model was saved, before it was scored.

    Raises:
        FileExistsError: the folder holds the result of other settings.
    """
    record = _record_in(run)
    return record is not None and not record.finished


def _record_in(run: TrainingArguments) -> _Record | None:
    """The record beside the model in a run's folder; `None` if there is none, or if it is to be overwritten."""
    path = Path(run.output_dir) / RUN
    if run.overwrite_output_dir or not is_trained(run.output_dir) or not path.is_file():
        return None
    record = read_checked(path, _RECORD_SCHEMA)
    found = {field.name: field.default for field in dataclasses.fields(run)} | record.settings  # older than a setting
    wanted = run.to_dict()
    different = [
        f"{name} {found.get(name)!r} there, {wanted[name]!r} here"
        for name, meaning in meanings_of(run).items()
        if meaning.role != "handling" and found.get(name) != wanted[name]
    ]
    if different:
        raise FileExistsError(
            f"{run.output_dir}: holds the result of a run with other settings: {', '.join(different)}. Name another "
            f"--output_dir, or replace the result with --overwrite_output_dir."
        )
    return record
