"""Read checkpoints of the original implementation into this project's layout."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import BertTokenizer

from .configuration_spert import WIDTH_EMBEDDING_ROWS, SpertConfig
from .corpora.types import CorpusTypes
from .encoders_spert import encoder_max_pieces
from .files import read_json
from .modeling_spert import SpertModel
from .processing_spert import SpertProcessor
from .weights_spert import refuse_weights_that_are_not_finite

_RENAMED = {
    "bert.": "encoder.",
    "entity_classifier.": "span_classifier.linear.",
    "rel_classifier.": "pair_classifier.linear.",
    "size_embeddings.": "width_embeddings.",
}

# The original's model has a pooler that it never calls; older files hold a buffer of position numbers.
_IGNORED_WEIGHTS = ("bert.pooler.dense.weight", "bert.pooler.dense.bias", "bert.embeddings.position_ids")

_SPECIAL_PIECES = ("[UNK]", "[CLS]", "[SEP]", "[PAD]")

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
        ValueError: a file is damaged; a weight is unknown, missing, NaN or infinite; the sizes do not fit the types; or
            the vocabulary does not fit the piece embeddings. The message names the file.
    """
    folder = Path(checkpoint)
    config_file = _existing(folder, "config.json")
    config_values = read_json(config_file)
    if not isinstance(config_values, dict):
        raise ValueError(f"{config_file}: expected an object, got {type(config_values).__name__}.")
    weights_file, weights = _read_weights(folder)
    table = weights.get("size_embeddings.weight")
    if table is None or table.ndim != 2 or len(table) != WIDTH_EMBEDDING_ROWS:
        raise ValueError(
            f"{weights_file}: expected a width table size_embeddings.weight of {WIDTH_EMBEDDING_ROWS} rows, got "
            f"{None if table is None else tuple(table.shape)}."
        )
    model = _model_of(config_file, config_values, table.shape[1], types)
    _load_renamed(model, weights, str(weights_file))
    refuse_weights_that_are_not_finite(model, weights_file)
    encoder_config = model.config.encoder_config
    vocabulary = _existing(folder, "vocab.txt")
    _check_vocabulary(vocabulary, encoder_config.vocab_size, encoder_config.pad_token_id)
    tokenizer = BertTokenizer(vocab=str(vocabulary), do_lower_case=lowercase)
    processor = SpertProcessor(tokenizer, max_pieces=encoder_max_pieces(encoder_config))
    return model.eval(), processor


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise FileNotFoundError(f"{folder}: expected {name} in a folder that the original implementation saved.")
    return folder / name


def _model_of(file: Path, values: dict[str, Any], width_embedding_size: int, types: CorpusTypes) -> SpertModel:
    """An untrained model of an original configuration; whatever fails in it is an error of its file."""
    encoder_values = {name: value for name, value in values.items() if name not in _IGNORED_FIELDS}
    own_values = {"width_embedding_size": width_embedding_size, **types.config_fields()}
    try:
        return SpertModel(SpertConfig(encoder_config={"model_type": "bert"} | encoder_values, **own_values))
    except Exception as error:  # transformers checks few of a configuration's values
        raise ValueError(f"{file}: cannot be used: {type(error).__name__}: {' '.join(str(error).split())}") from error


def _check_vocabulary(file: Path, num_embeddings: int, pad_piece: int | None) -> None:
    """Refuse a vocabulary whose lines are not one piece for each row of the piece embeddings.

    Of another order only what can be seen is refused: the padding piece in another place.
    """
    try:
        with file.open(encoding="utf-8", newline="\n") as lines:
            pieces = [line.rstrip("\r\n") for line in lines]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file}: expected UTF-8, but byte {error.start} cannot be decoded: {error.reason}."
        ) from error
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
    missing = [piece for piece in _SPECIAL_PIECES if piece not in pieces]
    if missing:
        raise ValueError(
            f"{file}: expected the pieces {', '.join(_SPECIAL_PIECES)}, got none of {', '.join(missing)}. Take the "
            f"vocabulary that the model was trained with."
        )
    if pad_piece is not None and pieces[pad_piece] != "[PAD]":
        raise ValueError(
            f"{file}: expected [PAD] in line {pad_piece + 1}, as config.json says, got {pieces[pad_piece]!r} there and "
            f"[PAD] in line {pieces.index('[PAD]') + 1}: the pieces are in another order. Take the vocabulary that the "
            f"model was trained with."
        )


def _read_weights(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """The file of weights, and what it holds. Nothing of a pickle is run."""
    file = folder / "model.safetensors"
    if not file.is_file():
        file = _existing(folder, "pytorch_model.bin")
    try:
        if file.suffix == ".safetensors":
            weights = load_file(file)
        else:
            weights = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of several libraries, and none names the file
        raise ValueError(f"{file}: cannot be read: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError(f"{file}: expected a dictionary of tensors, got {type(weights).__name__}.")
    return file, weights


def _load_renamed(model: SpertModel, weights: dict[str, Tensor], file: str) -> None:
    """Load all weights of the file, and no others; errors name them as the file does."""
    expected = {_original_name(name): (name, value) for name, value in model.state_dict().items()}
    unknown = sorted(weights.keys() - expected.keys() - set(_IGNORED_WEIGHTS))
    missing = sorted(expected.keys() - weights.keys())
    if unknown or missing:
        raise ValueError(
            f"{file}: expected the weights of an original SpERT model; unknown: {unknown or 'none'}, "
            f"missing: {missing or 'none'}."
        )
    misshapen = [
        f"{name} {tuple(value.shape)}, got {tuple(weights[name].shape)}"
        for name, (_, value) in expected.items()
        if value.shape != weights[name].shape
    ]
    if misshapen:
        raise ValueError(
            f"{file}: expected the shapes {'; '.join(misshapen)}. Does the type file list the types that this "
            f"model was trained with?"
        )
    model.load_state_dict({name: weights[original] for original, (name, _) in expected.items()})


def _original_name(name: str) -> str:
    original, ours = next((original, ours) for original, ours in _RENAMED.items() if name.startswith(ours))
    return original + name[len(ours) :]
