"""Configuration of a SpERT model: the encoder's own configuration, the types, and the numbers of the two heads.

A configuration that cannot work, and a misspelt name, is refused when it is made: not when the model is built or run.
"""

import dataclasses
import difflib
import math
from collections.abc import Sequence
from typing import Any, ClassVar

from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

WIDTH_EMBEDDING_ROWS = 100
"""Rows of the width table, as in the original: a span of `w` words uses row `w`, so 99 words are the widest span."""

LABEL_PADDING = -100
"""The label of a padding span and of a padding pair: they count in no loss."""

SPAN_POOLINGS = ("max", "mean", "sum")
RELATION_CONTEXTS = ("localized", "full", "cls")

PIPELINE_TASK = "entity-relation-extraction"

# Names that transformers itself passes to a configuration, besides the fields of `PreTrainedConfig`.
_LIBRARY_NAMES = {
    "_attn_implementation",
    "_commit_hash",
    "_experts_implementation",
    "_name_or_path",
    "attn_implementation",
    "auto_map",
    "custom_pipelines",
    "experts_implementation",
    "is_decoder",
    "model_type",
    "name_or_path",
    "num_labels",
    "output_attentions",
    "quantization_config",
    "tie_word_embeddings",
    "torch_dtype",
    "use_return_dict",
}


class SpertConfig(PreTrainedConfig):
    """Everything that decides what a [`SpertModel`] computes, apart from its weights.

    Args:
        encoder_config (`PreTrainedConfig` or `dict`): configuration of the encoder, of any model type that
            transformers itself knows. Default: `BertConfig()`. Custom (remote) code is never used for it.
        entity_types (list of `str`): entity type names in the order of the classifier's outputs 1, 2, …; output 0
            means "no entity" and has no name. At least one.
        relation_types (list of `str`): relation type names in the order of the classifier's outputs. May be empty:
            the model is then a plain span classifier.
        symmetric_relations (list of `str`): those of `relation_types` whose direction has no meaning.
        max_span_width (`int`): the widest candidate span at inference and the widest sampled negative, in words
            (paper, section 4.1: 10). Gold spans in training may be wider.
        width_embedding_size (`int`): length of a width embedding (paper, section 4.1: 25).
        head_dropout (`float`): dropout probability on each joined span or pair vector (paper, section 4.1: 0.1).
        span_pooling (`str`): how the pieces of a span become one vector: `max` (paper), `mean` or `sum` (its ablation).
        relation_context (`str`): what stands for the context of a pair: `localized`, the pooled pieces between the
            two spans, zero where nothing lies between (paper); `full`, the pooled pieces of all words of the
            sentence; `cls`, the sentence's classifier piece (the last two are the paper's ablation, section 4.5).
        relation_threshold (`float`): scores of at least this are relations (paper, section 4.1: 0.4).

    Raises:
        ValueError: a name is unknown, or a value has the wrong type, is out of range, or contradicts another.
    """

    model_type = "spert"
    sub_configs: ClassVar[dict[str, Any]] = {"encoder_config": AutoConfig}
    has_no_defaults_at_init: ClassVar[bool] = True
    # What `transformers.Trainer` must not gather as predictions: everything but the two logits.
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "entity_loss",
        "relation_loss",
        "spans",
        "candidate_entities",
        "candidate_counts",
        "candidate_logits",
        "decoding",
    ]

    def __init__(
        self,
        encoder_config: PreTrainedConfig | dict[str, Any] | None = None,
        entity_types: Sequence[str] = (),
        relation_types: Sequence[str] = (),
        symmetric_relations: Sequence[str] = (),
        max_span_width: int = 10,
        width_embedding_size: int = 25,
        head_dropout: float = 0.1,
        span_pooling: str = "max",
        relation_context: str = "localized",
        relation_threshold: float = 0.4,
        **kwargs: Any,
    ):
        model_type = kwargs.pop("model_type", self.model_type)
        if model_type != self.model_type:
            raise ValueError(
                f"SpertConfig: expected a configuration of model type 'spert', got {model_type!r}. To put a SpERT "
                f"model on top of a pre-trained encoder, use SpertModel.from_encoder(name_or_folder, entity_types=…)."
            )
        _refuse_unknown_names(kwargs)
        self.entity_types = _checked_names("entity_types", entity_types)
        if not self.entity_types:
            raise ValueError("SpertConfig.entity_types: expected at least one entity type, got none.")
        self.relation_types = _checked_names("relation_types", relation_types)
        self.symmetric_relations = _checked_names("symmetric_relations", symmetric_relations)
        unknown = [name for name in self.symmetric_relations if name not in self.relation_types]
        if unknown:
            raise ValueError(
                f"SpertConfig.symmetric_relations: expected names out of relation_types {self.relation_types}, "
                f"got {unknown} besides."
            )
        widest = WIDTH_EMBEDDING_ROWS - 1
        self.max_span_width = _checked_int("max_span_width", max_span_width, 1, widest)
        self.width_embedding_size = _checked_int("width_embedding_size", width_embedding_size, 1, None)
        self.head_dropout = _checked_probability("head_dropout", head_dropout)
        if self.head_dropout == 1.0:
            raise ValueError("SpertConfig.head_dropout: expected a number from 0 to below 1, got 1.0.")
        self.span_pooling = _checked_choice("span_pooling", span_pooling, SPAN_POOLINGS)
        self.relation_context = _checked_choice("relation_context", relation_context, RELATION_CONTEXTS)
        self.relation_threshold = _checked_probability("relation_threshold", relation_threshold)
        self.encoder_config = _checked_encoder_config(encoder_config)
        kwargs.setdefault(
            "custom_pipelines",
            {PIPELINE_TASK: {"impl": "pipeline_spert.SpertPipeline", "pt": ["AutoModel"], "type": "text"}},
        )
        super().__init__(**kwargs)

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> PreTrainedConfig:
        """The encoder's configuration: vocabulary and hidden size are its own (`resize_token_embeddings` asks here)."""
        return self.encoder_config

    @property
    def max_pieces(self) -> int | None:
        """The longest input that the encoder takes, in pieces with the special ones; `None` where it has no limit."""
        return encoder_max_pieces(self.encoder_config)


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


def _refuse_unknown_names(kwargs: dict[str, Any]) -> None:
    known = _LIBRARY_NAMES | {field.name for field in dataclasses.fields(PreTrainedConfig)}
    own = list(SpertConfig.__init__.__code__.co_varnames[1 : SpertConfig.__init__.__code__.co_argcount])
    for name in kwargs:
        if name in known:
            continue
        close = difflib.get_close_matches(name, own, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the names are {', '.join(own)}."
        raise ValueError(f"SpertConfig: unknown name {name!r}; {hint}")


def _checked_names(field: str, names: Sequence[str]) -> list[str]:
    if isinstance(names, str) or not isinstance(names, (list, tuple)):
        raise ValueError(f"SpertConfig.{field}: expected a list of type names, got {names!r}.")
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"SpertConfig.{field}: expected non-empty strings, got {name!r} among {list(names)!r}.")
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise ValueError(f"SpertConfig.{field}: expected each name once, got {repeated} more than once.")
    return list(names)


def _checked_int(field: str, value: int, least: int, most: int | None) -> int:
    bounds = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        raise ValueError(f"SpertConfig.{field}: expected {bounds}, got {value!r}.")
    return value


def _checked_probability(field: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or not 0 <= value <= 1:
        raise ValueError(f"SpertConfig.{field}: expected a number from 0 to 1, got {value!r}.")
    return float(value)


def _checked_choice(field: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"SpertConfig.{field}: expected one of {', '.join(choices)}, got {value!r}.")
    return value


def _checked_encoder_config(encoder_config: PreTrainedConfig | dict[str, Any] | None) -> PreTrainedConfig:
    """A configuration object of a class that transformers ships: a dictionary can never name code to be downloaded."""
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
    return CONFIG_MAPPING[model_type](**values)


SpertConfig.register_for_auto_class("AutoConfig")
