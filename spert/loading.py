"""A trained model and its processor from a folder or the Hub, for commands and whatever else serves models.

The files are checked before anything of the size that they name is made (`model_files.py`).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .model_files import (
    CONFIGURATION,
    PROCESSOR,
    TOKENIZER,
    WEIGHTS,
    check_json,
    check_kinds,
    check_weights,
    failure,
    fields_that_fail,
    listed,
    named,
    try_encoder,
)

if TYPE_CHECKING:
    from .configuration_spert import SpertConfig
    from .modeling_spert import SpertModel
    from .processing_spert import SpertProcessor


def load_model(model: str, dtype: str = "float32", device_index: int = 0) -> "tuple[Any, SpertProcessor]":
    """The model (or exported model) and the processor that a command works with, on the accelerator if there is one.

    Args:
        model: a folder or a repository on the Hub. No code of it is run.
        dtype: `float32`, `bfloat16`, `float16`, or `int8` for a CPU.
        device_index: of several accelerators.

    Raises:
        ValueError: something is missing or damaged; the message names folder and file.
    """
    import torch

    from .exported import ExportedModel, is_exported

    if is_exported(model):
        if dtype != "float32":
            raise ValueError(f"--dtype: an exported model brings its own numbers, got {dtype}.")
        config = load_configuration(model)
        with named(model, "the graphs"):
            exported = ExportedModel(model)
        return exported, load_processor(model, config)
    device = torch.device("cpu")
    if torch.accelerator.is_available() and not os.environ.get("ACCELERATE_USE_CPU"):
        kind = torch.accelerator.current_accelerator()
        device = torch.device(kind.type if kind else "cpu", device_index)
    loaded, processor = load_saved_model(model, "float32" if dtype == "int8" else dtype)
    if dtype == "int8":
        from .quantization import quantize_encoder

        return quantize_encoder(loaded), processor  # says what it thinks of other devices
    return loaded.to(device), processor  # type: ignore[arg-type]  # transformers wraps it without its own types


def load_saved_model(model: str, dtype: str = "float32") -> "tuple[SpertModel, SpertProcessor]":
    """As `load_model`, for models that are not exported, and on the CPU."""
    import torch

    from .modeling_spert import SpertModel

    config = load_configuration(model)
    check_weights(model, config)
    with named(model, f"{CONFIGURATION} or {WEIGHTS}"):
        loaded = SpertModel.from_pretrained(model, config=config, dtype=getattr(torch, dtype)).eval()
    try_encoder(model, loaded)
    return loaded, load_processor(model, config)


def load_configuration(model: str) -> "SpertConfig":
    """The configuration of a model. *Raises* `ValueError`, naming folder and file."""
    from .configuration_spert import SpertConfig

    values = check_json(model, CONFIGURATION, is_needed=True)
    if values is not None:
        check_kinds(Path(model, CONFIGURATION), values)
    with named(model, CONFIGURATION):
        try:
            config: SpertConfig = SpertConfig.from_pretrained(model)
        except ValueError:  # ours, and names the field
            raise
        except Exception as error:
            fields = fields_that_fail(values, SpertConfig.from_dict) if values is not None else []
            if not fields:
                raise
            raise ValueError(f"{listed(fields)}: expected another value, got {failure(error)}") from error
    return config


def load_processor(model: str, config: "SpertConfig") -> "SpertProcessor":
    """The processor of a model. *Raises* `ValueError`, naming folder and file."""
    from .processing_spert import SpertProcessor

    check_json(model, PROCESSOR, is_needed=True)
    for file in TOKENIZER:
        check_json(model, file)
    with named(model, f"{PROCESSOR}, {' or '.join(TOKENIZER)}"):
        processor = SpertProcessor.from_pretrained(model, config=config)
        num_pieces, num_embeddings = len(processor.tokenizer), config.get_text_config().vocab_size
        if num_pieces > num_embeddings:
            raise ValueError(
                f"expected a tokenizer of at most {num_embeddings} pieces, as many as the model has piece embeddings, "
                f"got one of {num_pieces}."
            )
        largest = max(processor.tokenizer.get_vocab().values(), default=0)
        if largest >= num_embeddings:
            raise ValueError(
                f"expected pieces with numbers below {num_embeddings}, as many as the model has piece embeddings, got "
                f"{largest}."
            )
        if config.max_pieces is not None and (processor.max_pieces or config.max_pieces + 1) > config.max_pieces:
            raise ValueError(
                f"expected max_pieces of at most {config.max_pieces}, which is what the encoder takes, got "
                f"{processor.max_pieces}."
            )
    return processor
