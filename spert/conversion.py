"""Read checkpoints of the original implementation into this project's layout."""

import json
import os
from collections import Counter
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

# The original's model has a pooler that it never calls; older files hold a buffer of position numbers.
_IGNORED_WEIGHTS = ("bert.pooler.dense.weight", "bert.pooler.dense.bias", "bert.embeddings.position_ids")

# What the checkpoint's config.json says of the run that saved it, not of the encoder.
_IGNORED_FIELDS = ("architectures", "spert_version", "torch_dtype", "transformers_version", "_name_or_path")


def convert_checkpoint(
    checkpoint: str | os.PathLike[str],
    types: CorpusTypes,
    *,
    lowercase: bool = False,
) -> tuple[SpertModel, SpertProcessor]:
    """A model and its processor, of a folder that the original implementation saved.

    Args:
        checkpoint: a folder with `config.json`, `vocab.txt`, and `model.safetensors` or `pytorch_model.bin`, which is
            read without running code of its own (`weights_only`).
        types: entity and relation types in the order in which the model was trained (that of its type file).
        lowercase: whether the model was trained on lower-cased text: the original leaves this to its command line.

    Raises:
        FileNotFoundError: the folder lacks a file.
        ValueError: a weight is unknown or missing, the sizes do not fit the types, or the vocabulary does not fit the
            piece embeddings; the message names them.
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
        | {name: value for name, value in config_values.items() if name not in _IGNORED_FIELDS},
        width_embedding_size=table.shape[1],
        **types.config_fields(),
    )
    model = SpertModel(config)
    _load_renamed(model, weights, str(checkpoint))
    vocabulary = _existing(folder, "vocab.txt")
    _check_vocabulary(vocabulary, config.encoder_config.vocab_size)
    tokenizer = BertTokenizer(vocab=str(vocabulary), do_lower_case=lowercase)
    processor = SpertProcessor(tokenizer, max_pieces=encoder_max_pieces(config.encoder_config))
    return model.eval(), processor


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise FileNotFoundError(f"{folder}: expected {name} in a folder that the original implementation saved.")
    return folder / name


def _check_vocabulary(file: Path, num_embeddings: int) -> None:
    """Refuse a vocabulary whose lines are not one piece for each row of the piece embeddings."""
    with file.open(encoding="utf-8", newline="\n") as lines:
        pieces = [line.rstrip("\r\n") for line in lines]
    repeated = [piece for piece, number in Counter(pieces).items() if number > 1]
    if repeated:
        raise ValueError(
            f"{file}: expected each piece once, got {repeated[0]!r} in line {pieces.index(repeated[0]) + 1} and again. "
            f"Take the vocabulary that the model was trained with."
        )
    if len(pieces) != num_embeddings:
        raise ValueError(
            f"{file}: expected {num_embeddings} pieces, as many as the model has piece embeddings, got {len(pieces)}. "
            f"Take the vocabulary that the model was trained with."
        )


def _read_weights(folder: Path) -> dict[str, Tensor]:
    if (folder / "model.safetensors").is_file():
        return load_file(folder / "model.safetensors")
    return torch.load(_existing(folder, "pytorch_model.bin"), map_location="cpu", weights_only=True)


def _load_renamed(model: SpertModel, weights: dict[str, Tensor], checkpoint: str) -> None:
    """Load all weights of the file, and no others; errors name them as the file does."""
    expected = {_original_name(name): (name, value) for name, value in model.state_dict().items()}
    unknown = sorted(weights.keys() - expected.keys() - set(_IGNORED_WEIGHTS))
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
