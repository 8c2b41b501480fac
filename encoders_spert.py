"""The encoder's part of a configuration: of a type that transformers ships, and with values that work."""

import inspect
from collections.abc import Mapping
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig

_MOST = 2**31 - 1
"""The largest whole number in an encoder's configuration: a size above it fits no machine."""

_IMPLEMENTATION_NAMES = ("attn_implementation", "_attn_implementation", "experts_implementation")
"""Fields in which transformers also takes the name of a repository with kernels."""


def checked_encoder_config(encoder_config: PreTrainedConfig | dict[str, Any] | None) -> PreTrainedConfig:
    """A configuration object of a class that transformers ships: a dictionary can never name code to be downloaded.

    Args:
        encoder_config: a configuration, or its fields with `model_type`. Default: that of BERT.

    Raises:
        ValueError: the type is not one of transformers', or a field has a value with which no encoder works.
    """
    values: dict[str, Any]
    if encoder_config is None:
        values = {"model_type": "bert"}
    elif isinstance(encoder_config, PreTrainedConfig):
        values = {"auto_map": getattr(encoder_config, "auto_map", None), "model_type": encoder_config.model_type}
    elif isinstance(encoder_config, dict):
        values = dict(encoder_config)
    else:
        raise ValueError(
            f"SpertConfig.encoder_config: expected a configuration or a dictionary, got "
            f"{type(encoder_config).__name__}."
        )
    if values.get("auto_map"):
        raise ValueError(
            f"SpertConfig.encoder_config: expected an encoder whose code transformers ships, got one that names code "
            f"of its own (auto_map: {values['auto_map']}). Take the entry out if the type "
            f"{values.get('model_type')!r} is meant to be transformers' own."
        )
    model_type = values.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise ValueError(
            f"SpertConfig.encoder_config: expected a model_type that transformers knows (bert, roberta, …), "
            f"got {model_type!r}."
        )
    if isinstance(encoder_config, PreTrainedConfig):
        return encoder_config
    values.pop("model_type")
    _check_encoder_values(values, CONFIG_MAPPING[model_type])
    return _made_encoder_config(CONFIG_MAPPING[model_type], values)


def refuse_foreign_parts(values: Mapping[str, Any], config_class: type, prefix: str = "") -> None:
    """Refuse fields that are none: parts of the configuration's class, and names of code or weights elsewhere.

    Args:
        values: the fields of a configuration, as a file holds them.
        config_class: what they shall make.
        prefix: of the fields' names, for errors.

    Raises:
        ValueError: the message names the field.
    """
    for name, value in values.items():
        part = inspect.getattr_static(config_class, name, None)
        is_computed = isinstance(part, property) and part.fset is None
        is_method = callable(part) or isinstance(part, (classmethod, staticmethod))
        expected = None
        if is_computed or is_method or name in ("__class__", "attribute_map"):
            expected = "no such field, because it is a part of the configuration's class"
        elif name == "transformers_weights" and value is not None:
            expected = "no such field, because the weights have the usual names"
        elif name in _IMPLEMENTATION_NAMES and not _is_name_of_implementation(value):
            expected = "a name such as 'sdpa', and never the name of a repository with code"
        if expected is not None:
            raise ValueError(f"SpertConfig, field '{prefix}{name}': expected {expected}, got {value!r:.60}.")


def _is_name_of_implementation(value: Any) -> bool:
    if isinstance(value, Mapping):  # one for each part of the model
        return all(map(_is_name_of_implementation, value.values()))
    return value is None or (isinstance(value, str) and value.isidentifier())


def _check_encoder_values(values: Mapping[str, Any], config_class: type) -> None:
    """Refuse what transformers takes into an encoder's configuration, and what then fails late or not at all."""
    refuse_foreign_parts(values, config_class, "encoder_config.")
    for name, value in values.items():
        expected = None
        if name == "return_dict" and value is not True:
            expected = "true, because the model reads the encoder's outputs by name"
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        elif isinstance(value, int) and abs(value) > _MOST:
            expected = f"a whole number of at most {_MOST}"
        elif name.startswith(("num_", "n_")) and value < 0:
            expected = "a number of at least 0"
        elif "drop" in name and not 0 <= value <= 1:
            expected = "a number from 0 to 1"
        elif name.endswith(("_eps", "_epsilon")) and not 0 <= value < 1:
            expected = "a number from 0 to below 1"
        elif name == "chunk_size_feed_forward" and value not in (0, 1):
            expected = "0 or 1, because sentences of other lengths than a multiple of it would fail"
        if expected is not None:
            raise ValueError(f"SpertConfig, field 'encoder_config.{name}': expected {expected}, got {value!r:.60}.")


def _made_encoder_config(config_class: Any, values: dict[str, Any]) -> PreTrainedConfig:
    """A configuration of a class of transformers', whose own errors do not always name the field."""
    try:
        made: PreTrainedConfig = config_class(**values)
        return made
    except Exception as error:
        for name in values:
            try:
                config_class(**{other: value for other, value in values.items() if other != name})
            except Exception:  # it is not to blame, or not alone
                continue
            reason = " ".join(str(error).split())
            raise ValueError(
                f"SpertConfig, field 'encoder_config.{name}': expected a value that "
                f"{config_class.__name__} takes, got {values[name]!r:.60}: {type(error).__name__}: {reason:.300}"
            ) from error
        raise


def encoder_max_pieces(encoder_config: PreTrainedConfig) -> int | None:
    """The longest input that an encoder takes, in pieces with the special ones; `None` where it has no hard limit.

    RoBERTa and its kin count positions from `pad_token_id + 1`; relative-position encoders (DeBERTa without
    `position_biased_input`) and those without a position table have no hard limit.
    """
    positions = getattr(encoder_config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    if getattr(encoder_config, "position_biased_input", True) is False:
        return None
    if encoder_config.model_type in _POSITIONS_AFTER_PADDING:
        return positions - (encoder_config.pad_token_id or 0) - 1
    return positions


_POSITIONS_AFTER_PADDING = {
    "camembert",
    "data2vec-text",
    "ibert",
    "longformer",
    "luke",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}
