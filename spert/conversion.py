"""Read checkpoints of the original implementation into this project's layout."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import BertTokenizerFast

from .configuration_spert import WIDTH_EMBEDDING_ROWS, SpertConfig, encoder_max_pieces
from .corpora.types import CorpusTypes
from .modeling_spert import SpertModel
from .processing_spert import SpertProcessor

_RENAMED = {
    "bert.": "encoder.",
    "entity_classifier.": "span_classifier.linear.",
    "rel_classifier.": "pair_classifier.linear.",
    "size_embeddings.": "width_embeddings.",
}

# The original's model has a pooler that it never calls; older files carry a buffer of position numbers.
_PASSED_OVER = ("bert.pooler.dense.weight", "bert.pooler.dense.bias", "bert.embeddings.position_ids")

_OF_A_RUN = ("architectures", "spert_version", "torch_dtype", "transformers_version", "_name_or_path")


def convert_checkpoint(
    checkpoint: str | os.PathLike[str], types: CorpusTypes, *, lowercase: bool = False
) -> tuple[SpertModel, SpertProcessor]:
    """A model and its processor, of a folder that the original implementation saved.

    Args:
        checkpoint: a folder with `config.json`, `vocab.txt`, and `model.safetensors` or `pytorch_model.bin`, which is
            read without running code of its own (`weights_only`).
        types: entity and relation types in the order in which the model was trained (that of its type file).
        lowercase: whether the model was trained on lower-cased text: the original leaves this to its command line.

    Raises:
        FileNotFoundError: the folder lacks a file.
        ValueError: a weight is unknown or missing, or the sizes do not fit the types; the message names them.
    """
    folder = Path(checkpoint)
    config_values = json.loads(_existing(folder, "config.json").read_text(encoding="utf-8"))
    weights = _read_weights(folder)
    table = weights.get("size_embeddings.weight")
    if table is None or table.ndim != 2 or len(table) != WIDTH_EMBEDDING_ROWS:
        raise ValueError(
            f"{checkpoint}: expected a width table size_embeddings.weight of {WIDTH_EMBEDDING_ROWS} rows, got "
            f"{None if table is None else tuple(table.shape)}."
        )
    config = SpertConfig(
        encoder_config={"model_type": "bert"}
        | {name: value for name, value in config_values.items() if name not in _OF_A_RUN},
        width_embedding_size=table.shape[1],
        **types.config_fields(),
    )
    model = SpertModel(config)
    _load_renamed(model, weights, str(checkpoint))
    tokenizer = BertTokenizerFast(vocab=str(_existing(folder, "vocab.txt")), do_lower_case=lowercase)
    processor = SpertProcessor(tokenizer, max_pieces=encoder_max_pieces(config.encoder_config))
    return model.eval(), processor


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise FileNotFoundError(f"{folder}: expected {name} in a folder that the original implementation saved.")
    return folder / name


def _read_weights(folder: Path) -> dict[str, Tensor]:
    if (folder / "model.safetensors").is_file():
        return load_file(folder / "model.safetensors")
    return torch.load(_existing(folder, "pytorch_model.bin"), map_location="cpu", weights_only=True)


def _load_renamed(model: SpertModel, weights: dict[str, Any], checkpoint: str) -> None:
    renamed = {}
    unknown = []
    for name, value in weights.items():
        if name in _PASSED_OVER:
            continue
        prefix = next((prefix for prefix in _RENAMED if name.startswith(prefix)), None)
        new_name = None if prefix is None else _RENAMED[prefix] + name[len(prefix) :]
        if new_name is None or new_name not in model.state_dict():
            unknown.append(name)
        else:
            renamed[new_name] = value
    expected = model.state_dict()
    missing = sorted(expected.keys() - renamed.keys())
    if unknown or missing:
        raise ValueError(
            f"{checkpoint}: expected the weights of an original SpERT model; unknown: {sorted(unknown) or 'none'}, "
            f"missing: {missing or 'none'}."
        )
    for name, value in renamed.items():
        if value.shape != expected[name].shape:
            raise ValueError(
                f"{checkpoint}: {name}: expected the shape {tuple(expected[name].shape)}, got {tuple(value.shape)}. Does "
                f"the type file list the types that this model was trained with?"
            )
    model.load_state_dict(renamed)
