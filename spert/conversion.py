"""Read checkpoints of the original implementation into this project's layout."""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import BertTokenizer

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

_NOT_OF_THE_ENCODER = ("architectures", "spert_version", "torch_dtype", "transformers_version", "_name_or_path")


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
        | {name: value for name, value in config_values.items() if name not in _NOT_OF_THE_ENCODER},
        width_embedding_size=table.shape[1],
        **types.config_fields(),
    )
    model = SpertModel(config)
    _load_renamed(model, weights, str(checkpoint))
    tokenizer = BertTokenizer(vocab=str(_existing(folder, "vocab.txt")), do_lower_case=lowercase)
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


def _load_renamed(model: SpertModel, weights: dict[str, Tensor], checkpoint: str) -> None:
    """Load weights under the original's names, all of them and no others; errors name them as the file does."""
    expected = {_original_name(name): (name, value) for name, value in model.state_dict().items()}
    unknown = sorted(weights.keys() - expected.keys() - set(_PASSED_OVER))
    missing = sorted(expected.keys() - weights.keys())
    if unknown or missing:
        raise ValueError(
            f"{checkpoint}: expected the weights of an original SpERT model; unknown: {unknown or 'none'}, "
            f"missing: {missing or 'none'}."
        )
    misshapen = [
        f"{name} {tuple(value.shape)}, got {tuple(weights[name].shape)}"
        for name, (_, value) in expected.items()
        if value.shape != weights[name].shape
    ]
    if misshapen:
        raise ValueError(
            f"{checkpoint}: expected the shapes {'; '.join(misshapen)}. Does the type file list the types that this "
            f"model was trained with?"
        )
    model.load_state_dict({name: weights[original] for original, (name, _) in expected.items()})


def _original_name(name: str) -> str:
    original, ours = next((original, ours) for original, ours in _RENAMED.items() if name.startswith(ours))
    return original + name[len(ours) :]
