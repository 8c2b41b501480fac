"""The files of a saved model, checked before anything of the size that they name is made.

transformers' own errors name neither file nor field, and a configuration may ask for more memory than any machine has.
"""

import copy
import math
import os
import pickle
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configuration_spert import SpertConfig
    from .modeling_spert import SpertModel

CONFIGURATION = "config.json"
WEIGHTS = "model.safetensors"
PROCESSOR = "processor_config.json"
TOKENIZER = ("tokenizer_config.json", "tokenizer.json")

_ADAPTER = "adapter_config.json"
"""With it, transformers (and peft) would read a model from elsewhere, and change it."""

_LONGEST_REASON = 1000
"""Characters of a reason that an error repeats: a value in a file may be of any length."""

_NOT_SUPPORTED = ("distributed_config", "fusion_config", "per_layer_config", "quantization_config")
"""Fields by which transformers would build another model, or read its weights in another way."""

_LARGEST_NUMBER = 2**20
"""Up to this, whole numbers in an encoder's configuration are harmless, however small the model's weights are."""

_MOST_LAYERS = 1000
"""Layers may share their weights, so that a few tensors are enough for many of them."""


_JOINED = {
    "span_classifier.linear.weight": ("span_boundaries",),
    "pair_classifier.linear.weight": ("context_window", "entity_type_features", "span_boundaries"),
    "pair_classifier.hidden.weight": ("context_window", "entity_type_features", "span_boundaries"),
}
"""Weights that read joined vectors, and fields by which these are longer without any layer of their own."""

_FIELDS_OF_LAYERS = {
    "pair_classifier.hidden": "relation_head",
    "distance_embeddings": "distance_embedding_size",
    "context_attention.query": "relation_context",
    "context_attention.key": "relation_context",
}
"""Layers that a model has or has not, and the field that decides it."""


def check_json(model: str, file: str, is_needed: bool = False) -> dict[str, Any] | None:
    """The content of a file of a folder, which has to be a JSON object; `None` where there is no such file or folder.

    Raises:
        FileNotFoundError: the folder lacks a file that is needed.
        ValueError: the file is no JSON object; the message names it, and the line.
    """
    from .files import read_json

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


def check_kinds(path: Path, values: dict[str, Any]) -> None:
    """Refuse fields of a configuration whose values are of another kind than transformers' defaults.

    transformers checks some of its fields itself, without the name of the file; others fail in the middle of a forward.

    Raises:
        ValueError: a value is of another kind; the message names file and field.
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
                    f"{path}, field '{prefix}{name}': expected a value like {default!r}, got {_shown(value)}."
                )

    check(values, PreTrainedConfig().to_dict())
    encoder = values.get("encoder_config")
    if not isinstance(encoder, dict):
        raise ValueError(
            f"{path}, field 'encoder_config': expected an object, the encoder's configuration, got {_shown(encoder)}."
        )
    for given, prefix in ((values, ""), (encoder, "encoder_config.")):
        dtype = given.get("dtype")
        known = getattr(torch, dtype, None) if isinstance(dtype, str) else None
        if dtype is not None and not (isinstance(known, torch.dtype) and known.is_floating_point):
            raise ValueError(f"{path}, field '{prefix}dtype': expected a type such as 'float32', got {_shown(dtype)}.")
        for name in _NOT_SUPPORTED:
            if given.get(name) is not None:
                raise ValueError(
                    f"{path}, field '{prefix}{name}': expected no such field, which SpERT models do not have, got "
                    f"{_shown(given[name])}."
                )
    kind = encoder.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise ValueError(
            f"{path}, field 'encoder_config.model_type': expected a type of encoder that transformers knows, got "
            f"{_shown(kind)}."
        )
    check(encoder, CONFIG_MAPPING[kind]().to_dict(), "encoder_config.")


def fields_that_fail(values: Mapping[str, Any], make: Callable[[dict[str, Any]], Any]) -> list[str]:
    """The fields of an object without any of which it can be used, and with which it cannot.

    Args:
        values: all of its fields.
        make: uses them; raises where it cannot.
    """

    def works_without(name: str) -> bool:
        try:
            make(copy.deepcopy({other: value for other, value in values.items() if other != name}))
        except Exception:
            return False
        return True

    return [name for name in values if works_without(name)]


def check_weights(model: str, config: "SpertConfig") -> None:
    """Refuse weights that are damaged, or that are not the ones that the configuration asks for.

    The model is made and loaded without its values, so that nothing is allocated.

    Args:
        model: a folder, or a repository on the Hub.
        config: its configuration.

    Raises:
        ValueError: the message names the file, and the fields of the configuration that do not fit.
    """
    from transformers.utils import logging

    from .modeling_spert import SpertModel
    from .weights_spert import refuse_other_weights

    if os.path.isdir(model):
        adapter = os.path.join(model, _ADAPTER)
        if os.path.exists(adapter):
            raise ValueError(f"{adapter}: expected a whole model, got an adapter for another one.")
        sizes = _sizes_of_tensors(Path(model))
        if sizes:
            _refuse_sizes_beyond(Path(model, CONFIGURATION), config, sizes)
    with named(model, f"{CONFIGURATION} or {WEIGHTS}"):
        logging.disable_progress_bar()
        try:
            # Not SpertModel's own method, which refuses before it says what it found.
            _, info = super(SpertModel, SpertModel).from_pretrained(
                model,
                config=copy.deepcopy(config),
                device_map="meta",
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except Exception as error:
            fields = _fields_to_blame(config)
            if not fields:
                raise
            raise ValueError(
                f"{_place(model, CONFIGURATION)}, {listed(fields)}: expected values with which transformers makes an "
                f"encoder of type {config.encoder_config.model_type!r}, got {failure(error)}"
            ) from error
        try:
            refuse_other_weights(info, model)
        except ValueError as error:
            raise ValueError(f"{error} In {CONFIGURATION}, see {listed(_fields_of(info, config))}.") from error


def try_encoder(model: str, loaded: "SpertModel") -> None:
    """Read four pieces with a loaded model's encoder: some values of its configuration fail only then.

    Raises:
        ValueError: the encoder cannot; the message names the file.
    """
    import torch

    if loaded.dtype == torch.float16:  # CPUs lack some operations in it
        return
    pieces = torch.zeros((1, 4), dtype=torch.long)
    try:
        with torch.inference_mode():
            loaded.encoder(input_ids=pieces, attention_mask=torch.ones_like(pieces)).last_hidden_state  # noqa: B018
    except Exception as error:
        raise ValueError(
            f"{_place(model, CONFIGURATION)}, field 'encoder_config': expected values with which an encoder of type "
            f"{loaded.config.encoder_config.model_type!r} works, got {failure(error)}"
        ) from error


def _sizes_of_tensors(folder: Path) -> list[list[int]]:
    """The sizes of the tensors in the safetensors files of a folder. *Raises* `ValueError` for a damaged file."""
    from safetensors import safe_open

    from .hub import weight_files

    sizes = []
    for path in (folder / name for name in weight_files(folder)):
        if not path.exists():
            continue  # transformers looks for other files, and says what it misses
        if not path.is_file():
            raise ValueError(f"{path}: expected a file, got something else of that name.")
        with named(str(folder), path.name), safe_open(path, framework="pt") as tensors:
            sizes += [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118  # it is no mapping
    return sizes


def _refuse_sizes_beyond(path: Path, config: "SpertConfig", sizes: list[list[int]]) -> None:
    """Refuse an encoder of far more layers than there are tensors, or with a number larger than that of all weights."""
    encoder = config.encoder_config
    most = max(_LARGEST_NUMBER, sum(map(math.prod, sizes)))
    for name, value in encoder.to_dict().items():
        if type(value) is int and value > most and "theta" not in name:  # one of rotary positions is no size
            raise ValueError(
                f"{path}, field 'encoder_config.{name}': expected a number that fits the {len(sizes)} tensors of the "
                f"model's weights, got {value}."
            )
    layers = getattr(encoder, "num_hidden_layers", 0)
    most = max(_MOST_LAYERS, len(sizes))
    if isinstance(layers, int) and layers > most:
        raise ValueError(
            f"{path}, field 'encoder_config.{_name_of_layers(config)}': expected at most {most} layers, because the "
            f"model's weights are {len(sizes)} tensors, got {layers}."
        )


def _name_of_layers(config: "SpertConfig") -> str:
    """The encoder's own name of what transformers calls `num_hidden_layers`."""
    return str(config.encoder_config.attribute_map.get("num_hidden_layers", "num_hidden_layers"))


def _fields_to_blame(config: "SpertConfig") -> list[str]:
    """The fields of an encoder's configuration with which no model can be made, and with a common value it can.

    Returns:
        Nothing where a model can be made; `encoder_config` where no single field is to blame.
    """
    values = config.encoder_config.to_dict()
    if _can_be_made(config, {}):
        return []
    layers = _name_of_layers(config)
    few = {} if _can_be_made(config, {layers: 1}) else {layers: 1}  # as many as needed, and quick
    defaults = type(config.encoder_config)().to_dict()
    blamed = []
    for name, value in values.items():
        others = [defaults[name]] if name in defaults else []
        if type(value) is int:
            others.append(1)
        if any(other != value and _can_be_made(config, few | {name: other}) for other in others):
            blamed.append(f"encoder_config.{name}")
    return blamed or ["encoder_config"]


def _can_be_made(config: "SpertConfig", changes: Mapping[str, Any]) -> bool:
    """Whether a model of this configuration can be made, with some of the encoder's fields changed."""
    import torch

    from .modeling_spert import SpertModel

    try:
        changed = copy.deepcopy(config)
        if changes:
            encoder = config.encoder_config
            changed.encoder_config = type(encoder)(**(encoder.to_dict() | changes))
        with torch.device("meta"):
            SpertModel(changed)
    except Exception:
        return False
    return True


def _fields_of(info: Mapping[str, Any], config: "SpertConfig") -> list[str]:
    """The fields of a configuration that ask for weights which the files do not hold, or hold in another size."""
    numbers = {
        f"encoder_config.{name}": value
        for name, value in config.encoder_config.to_dict().items()
        if type(value) is int and not name.startswith("num_") and not name.endswith("_id")
    }
    own = {
        "width_embedding_size": config.width_embedding_size,
        "entity_types": 1 + len(config.entity_types),
        "relation_types": len(config.relation_types),
        "relation_hidden_size": config.relation_hidden_size,
        "distance_embedding_size": config.distance_embedding_size,
    }
    fields: set[str] = set()
    odd_ones = [*info["missing_keys"], *info["unexpected_keys"]]
    layers = {_FIELDS_OF_LAYERS[layer] for name in odd_ones if (layer := name.rpartition(".")[0]) in _FIELDS_OF_LAYERS}
    explaining = ("distance_embeddings.", "encoder.", "pair_classifier.hidden.bias", "width_embeddings.")
    is_explained = bool(layers) or any(name.startswith(explaining) for name, _, _ in info["mismatched_keys"])
    for name, found, wanted in info["mismatched_keys"]:
        known = numbers if name.startswith("encoder.") else own
        odd = [size for size, other in zip(wanted, found) if size != other]
        fields |= {field for field, size in known.items() if size in odd}
        if name in _JOINED and found[1:] != wanted[1:] and not is_explained:
            fields |= set(_JOINED[name])
    fields |= layers
    for name in odd_ones:
        if name.rpartition(".")[0] in _FIELDS_OF_LAYERS:
            continue
        if name.startswith("pair_classifier."):
            fields.add("relation_types")
        elif re.search(r"\.\d+\.", name):
            fields.add(f"encoder_config.{_name_of_layers(config)}")
    return sorted(fields) or ["encoder_config"]


def failure(error: BaseException) -> str:
    """The kind of an error and what it says, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {_shortened(text)}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


def listed(fields: list[str]) -> str:
    """Fields, for a message."""
    return f"field{'s' if len(fields) > 1 else ''} {', '.join(f'{name!r}' for name in fields)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _place(model: str, file: str) -> str:
    return os.path.join(model, file) if os.path.isfile(os.path.join(model, file)) else f"{model}, {file}"


@contextmanager
def named(model: str, file: str) -> Iterator[None]:
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ModuleNotFoundError:  # says what to install
        raise
    except pickle.UnpicklingError as error:  # torch's message tells how to run the code
        raise ValueError(
            f"{_place(model, file)}: expected tensors and nothing else, got a pickle, which may run code. It did not."
        ) from error
    except Exception as error:
        reason = reason_of(error, model)
        if reason.startswith(os.path.join(model, "")):  # it names the file already
            raise ValueError(reason) from error
        raise ValueError(f"{_place(model, file)}: {reason}") from error
    finally:
        logging.set_verbosity(level)
        if shows_progress:
            logging.enable_progress_bar()


def reason_of(error: BaseException, model: str = "") -> str:
    """What an error says, on one line; its kind, where that tells more."""
    text = _shortened(" ".join(str(error).split()).removeprefix(f"{model}: "))
    if isinstance(error, (ValueError, OSError)) and text and type(error).__name__ in ("ValueError", "OSError"):
        return text
    return f"it cannot be read: {type(error).__name__}{': ' if text else ''}{text}"
