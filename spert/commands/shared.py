"""What several commands take, and how they load a model."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..configuration_spert import SpertConfig
    from ..modeling_spert import SpertModel
    from ..processing_spert import SpertProcessor

Model = Annotated[str, typer.Option(help="A trained model: a folder, or a repository on the Hub.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Sentences that pass the encoder together.")]
WithoutOverlapping = Annotated[bool, typer.Option("--without-overlapping", help="Leave overlapping entities out.")]

CONFIGURATION = "config.json"
WEIGHTS = "model.safetensors"
PROCESSOR = "processor_config.json"
TOKENIZER = ("tokenizer_config.json", "tokenizer.json")


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

    from ..exported import ExportedModel, is_exported

    if is_exported(model):
        if dtype != "float32":
            raise ValueError(f"--dtype: an exported model brings its own numbers, got {dtype}.")
        config = load_configuration(model)
        with _named(model, "the graphs"):
            exported = ExportedModel(model)
        return exported, load_processor(model, config)
    device = torch.device("cpu")
    if torch.accelerator.is_available() and not os.environ.get("ACCELERATE_USE_CPU"):
        kind = torch.accelerator.current_accelerator()
        device = torch.device(kind.type if kind else "cpu", device_index)
    loaded, processor = load_saved_model(model, "float32" if dtype == "int8" else dtype)
    if dtype == "int8":
        from ..quantization import quantize_encoder

        return quantize_encoder(loaded), processor  # says what it thinks of other devices
    return loaded.to(device), processor  # type: ignore[arg-type]  # transformers wraps it without its own types


def load_saved_model(model: str, dtype: str = "float32") -> "tuple[SpertModel, SpertProcessor]":
    """As `load_model`, for models that are not exported, and on the CPU."""
    import torch

    from ..modeling_spert import SpertModel

    config = load_configuration(model)
    _check_weights(model)
    with _named(model, f"{CONFIGURATION} or {WEIGHTS}"):
        loaded = SpertModel.from_pretrained(model, config=config, dtype=getattr(torch, dtype)).eval()
    return loaded, load_processor(model, config)


def load_configuration(model: str) -> "SpertConfig":
    """The configuration of a model. *Raises* `ValueError`, naming folder and file."""
    from ..configuration_spert import SpertConfig

    values = _check_json(model, CONFIGURATION, is_needed=True)
    if values is not None:
        _check_kinds(Path(model, CONFIGURATION), values)
    with _named(model, CONFIGURATION):
        config: SpertConfig = SpertConfig.from_pretrained(model)
    return config


def load_processor(model: str, config: "SpertConfig") -> "SpertProcessor":
    """The processor of a model. *Raises* `ValueError`, naming folder and file."""
    from ..processing_spert import SpertProcessor

    _check_json(model, PROCESSOR, is_needed=True)
    for file in TOKENIZER:
        _check_json(model, file)
    with _named(model, f"{PROCESSOR}, {' or '.join(TOKENIZER)}"):
        processor = SpertProcessor.from_pretrained(model, config=config)
        num_pieces, num_embeddings = len(processor.tokenizer), config.get_text_config().vocab_size
        if num_pieces > num_embeddings:
            raise ValueError(
                f"expected a tokenizer of at most {num_embeddings} pieces, as many as the model has piece embeddings, "
                f"got one of {num_pieces}."
            )
        if config.max_pieces is not None and (processor.max_pieces or config.max_pieces + 1) > config.max_pieces:
            raise ValueError(
                f"expected max_pieces of at most {config.max_pieces}, which is what the encoder takes, got "
                f"{processor.max_pieces}."
            )
    return processor


def _check_kinds(path: Path, values: dict[str, Any]) -> None:
    """Refuse fields of a configuration whose values are of another kind than transformers' defaults.

    transformers checks some of its fields itself, without the name of the file; others fail in the middle of a forward.
    """
    import torch
    from transformers import CONFIG_MAPPING, PreTrainedConfig

    def check(given: dict[str, Any], defaults: dict[str, Any], prefix: str = "") -> None:
        for name in given.keys() & defaults.keys():
            value, default = given[name], defaults[name]
            is_missing = value is None and (default is None or name.endswith("_token_id"))
            if is_missing or name.startswith("_") or not isinstance(default, (bool, int, float, str)):
                continue
            kinds: Any = (int, float) if isinstance(default, (int, float)) else str
            is_right = isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)
            if not is_right or (isinstance(value, float) and isinstance(default, int)):
                raise ValueError(
                    f"{path}, field '{prefix}{name}': expected a value like {default!r}, got {shown(value)}."
                )

    def shown(value: Any) -> str:
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:60]}…"

    check(values, PreTrainedConfig().to_dict())
    encoder = values.get("encoder_config")
    for given, prefix in ((values, ""), (encoder, "encoder_config.")):
        dtype = given.get("dtype") if isinstance(given, dict) else None
        if dtype is not None and not (isinstance(dtype, str) and isinstance(getattr(torch, dtype, None), torch.dtype)):
            raise ValueError(f"{path}, field '{prefix}dtype': expected a type such as 'float32', got {shown(dtype)}.")
    if isinstance(encoder, dict):
        kind = encoder.get("model_type")
        if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
            raise ValueError(
                f"{path}, field 'encoder_config.model_type': expected a type of encoder that transformers knows, got "
                f"{shown(kind)}."
            )
        check(encoder, CONFIG_MAPPING[kind]().to_dict(), "encoder_config.")


def _check_json(model: str, file: str, is_needed: bool = False) -> dict[str, Any] | None:
    """The content of a file of a folder, which has to be a JSON object: transformers' own errors name no line."""
    from ..files import read_json

    if not os.path.isdir(model):  # a repository: what the Hub serves is checked as it is read
        return None
    path = Path(model, file)
    if not path.is_file():
        if is_needed:
            raise FileNotFoundError(f"{path}: expected this file in the folder of a trained model, got none.")
        return None
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object, got {type(content).__name__}.")
    return content


def _check_weights(model: str) -> None:
    """Refuse a safetensors file of a folder whose header does not fit it; transformers' error names no file."""
    from safetensors import safe_open

    if os.path.isdir(model):
        for path in sorted(Path(model).glob("*.safetensors")):
            with _named(model, path.name), safe_open(path, framework="pt"):
                pass


@contextmanager
def _named(model: str, file: str) -> Iterator[None]:
    """Turn whatever fails in loading into one error that names model and file, and keep transformers quiet.

    Files are damaged in more ways than transformers looks for: these surface as any kind of exception. The progress bar
    of the weights is for terminals; the report of missing weights is repeated by our own error.
    """
    from transformers.utils import logging

    level, shows_progress = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    except ModuleNotFoundError:  # says what to install
        raise
    except Exception as error:
        reason = reason_of(error, model)
        if reason.startswith(os.path.join(model, "")):  # it names the file already
            raise ValueError(reason) from error
        where = os.path.join(model, file) if os.path.isfile(os.path.join(model, file)) else f"{model}, {file}"
        raise ValueError(f"{where}: {reason}") from error
    finally:
        logging.set_verbosity(level)
        if shows_progress:
            logging.enable_progress_bar()


def reason_of(error: BaseException, model: str = "") -> str:
    """What an error says, on one line; its kind, where that tells more."""
    text = " ".join(str(error).split()).removeprefix(f"{model}: ")
    if isinstance(error, (ValueError, OSError)) and text and type(error).__name__ in ("ValueError", "OSError"):
        return text
    return f"it cannot be read: {type(error).__name__}{': ' if text else ''}{text}"
