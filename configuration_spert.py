"""Configuration of a SpERT model: the encoder's own configuration, the types, and the numbers of the two heads.

A value that cannot work and a misspelt name are refused on every road into a configuration: when it is made, loaded,
loaded with overrides, updated, or when one of its attributes is set.
"""

import difflib
import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from transformers import AutoConfig, GenerationConfig, PreTrainedConfig

from .encoders_spert import checked_encoder_config, encoder_max_pieces, refuse_foreign_parts
from .options_spert import DECODING_FIELDS, NO_ENTITY, DecodingOptions, checked_choice, checked_probability

logger = logging.getLogger(__name__)

WIDTH_EMBEDDING_ROWS = 100
"""Rows of the width table, as in the original: a span of `w` words uses row `w`, so 99 words are the widest span."""

LABEL_PADDING = -100
"""The label of a padding span and of a padding pair: they count in no loss."""

SPAN_POOLINGS = ("max", "mean", "sum")
RELATION_CONTEXTS = ("localized", "full", "cls", "attention")
RELATION_HEADS = ("linear", "mlp")

PIPELINE_TASK = "entity-relation-extraction"

# What transformers itself passes to a configuration or writes into one, besides the fields of `PreTrainedConfig`.
_LIBRARY_NAMES = {
    "_attn_implementation",
    "_commit_hash",
    "_experts_implementation",
    "_from_auto",
    "_from_pipeline",
    "_name_or_path",
    "attn_implementation",
    "auto_map",
    "code_revision",
    "custom_pipelines",
    "distributed_config",
    "experts_implementation",
    "fusion_config",
    "is_decoder",
    "model_type",
    "name_or_path",
    "num_labels",
    "output_attentions",
    "per_layer_config",
    "pruned_heads",
    "quantization_config",
    "return_unused_kwargs",
    "tie_word_embeddings",
    "torch_dtype",
    "trust_remote_code",
    "use_cache",
    "use_return_dict",
}
_DERIVED_NAMES = ("id2label", "label2id", "num_labels")


class SpertConfig(PreTrainedConfig):
    """Everything that decides what a [`SpertModel`] computes and what counts as found, apart from the model's weights.

    Args:
        encoder_config (`PreTrainedConfig` or `dict`): configuration of the encoder, of any model type that
            transformers itself knows. Default: `BertConfig()`. Custom (remote) code is never used for it.
        entity_types (list of `str`): entity type names in the order of the classifier's outputs 1, 2, …; output 0
            means "no entity". At least one. `id2label` and `label2id` follow from them: 0 is `no_entity`.
        relation_types (list of `str`): relation type names in the order of the classifier's outputs. May be empty:
            the model is then a plain span classifier.
        symmetric_relations (list of `str`): those of `relation_types` whose direction has no meaning.
        max_span_width (`int`): the widest candidate span at inference and the widest sampled negative, in words
            (paper, section 4.1: 10). Gold spans in training may be wider.
        width_embedding_size (`int`): length of a width embedding (paper, section 4.1: 25).
        head_dropout (`float`): dropout probability on each joined span or pair vector (paper, section 4.1: 0.1), and on
            the hidden layer of a relation head that has one.
        span_pooling (`str`): how the pieces of a span become one vector: `max` (paper), `mean` or `sum` (its ablation).
        relation_context (`str`): what stands for the context of a pair: `localized`, the pooled pieces between the
            two spans, zero where nothing lies between (paper); `full`, the pooled pieces of all words of the
            sentence; `cls`, the sentence's classifier piece (these two are the paper's ablation, section 4.5);
            `attention`, the pieces between the two spans again, as their mean with weights that the pair decides.
        relation_threshold (`float` or `dict`): the least score of a relation, for all types or by type; a type that
            the dictionary leaves out has 0.4 (paper, section 4.1: 0.4).
        entity_threshold (`float` or `dict`): the least score of an entity, besides being the likeliest class, for all
            types or by type; a type that the dictionary leaves out has 0. Default: 0.
        relation_arguments (`dict`, *optional*): `{relation: [[head type, tail type], …]}`, the types that a relation
            may join. Default: any.
        overlapping_entities (`str`): which entities may overlap: `all` (paper), `nested` ones, or `none`.
        temperature (`dict`): `{"entities": …, "relations": …}`, what logits are divided by before they become scores.
            Default: 1. [`DecodingOptions`] says more about these five.
        sentences_per_window (`int`): how many sentences of a document the encoder reads together. Default: 1.
        relation_head (`str`): how a joined pair vector becomes scores: `linear`, one layer (paper), or `mlp`, a hidden
            layer of `relation_hidden_size` with GELU between two.
        relation_hidden_size (`int`): width of that hidden layer. Default: 256.
        entity_type_features (`bool`): whether the relation head also reads the probabilities of the types of head and
            tail. A given type counts as certain.
        distance_embedding_size (`int`): length of an embedding of the distance between head and tail and of their
            order. Default: 0, none.
        span_boundaries (`bool`): whether both heads also read the states of the first and the last piece of a span.
        context_window (`int`): the relation head also reads so many words before the first and after the last of the
            two spans, where the context is `localized` or `attention`. Default: 0, none.

    `docs/model.md` has the formulae of the last six.

    Raises:
        ValueError: a name is unknown, or a value has the wrong type, is out of range, or contradicts another.
    """

    model_type = "spert"
    sub_configs: ClassVar[dict[str, Any]] = {"encoder_config": AutoConfig}
    has_no_defaults_at_init: ClassVar[bool] = True
    # Declared, because `save_pretrained` takes an undeclared `temperature` for one of text generation.
    temperature: Any = None
    # What `transformers.Trainer` must not gather as predictions: everything but the two logits.
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "entity_loss",
        "relation_loss",
        "false_pair_loss",
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
        relation_threshold: float | Mapping[str, float] = 0.4,
        entity_threshold: float | Mapping[str, float] = 0.0,
        relation_arguments: Mapping[str, Sequence[Sequence[str]]] | None = None,
        overlapping_entities: str = "all",
        temperature: float | Mapping[str, float] = 1.0,
        sentences_per_window: int = 1,
        relation_head: str = "linear",
        relation_hidden_size: int = 256,
        entity_type_features: bool = False,
        distance_embedding_size: int = 0,
        span_boundaries: bool = False,
        context_window: int = 0,
        **kwargs: Any,
    ):
        given = {name: value for name, value in locals().items() if name in OWN_FIELDS}
        _refuse_other_model_types(kwargs.pop("model_type", self.model_type))
        _refuse_unknown_names(kwargs)
        self._set(_checked(given))
        for name in _DERIVED_NAMES:
            if kwargs.get(name) is not None:
                self._check_derived(name, kwargs[name])
            kwargs.pop(name, None)
        kwargs.setdefault(
            "custom_pipelines",
            {PIPELINE_TASK: {"impl": "pipeline_spert.SpertPipeline", "pt": ["AutoModel"], "type": "text"}},
        )
        super().__init__(id2label=self.id2label, label2id=self.label2id, **kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """A configuration of a dictionary, as a saved one is read, with overrides.

        Overrides take part in the same checks. Entries of the dictionary that neither this class nor transformers
        knows stay, with a warning, if they resemble none of ours: other tools write into saved configurations, too.
        With `return_unused_kwargs` the overrides that nobody knows are returned.
        """
        _refuse_other_model_types(config_dict.get("model_type", cls.model_type))
        refuse_foreign_parts(config_dict, cls)
        overrides = {name: kwargs.pop(name) for name in OWN_FIELDS if name in kwargs}
        foreign = {name: value for name, value in config_dict.items() if not _is_known(name)}
        for name in foreign:
            _refuse_misspelt_name(name)
            logger.warning("SpertConfig: %r is no name of this configuration; it is kept and does nothing.", name)
        unused = {name: value for name, value in kwargs.items() if not _is_known(name)}
        for name in unused:
            _refuse_misspelt_name(name)
        if unused and not kwargs.get("return_unused_kwargs"):
            _refuse_unknown_names(unused)
        values = {name: value for name, value in config_dict.items() if name not in foreign} | overrides
        if isinstance(overrides.get("encoder_config"), dict):  # changes to the encoder's, as transformers has it
            values["encoder_config"] = _as_values(config_dict.get("encoder_config")) | overrides["encoder_config"]
        if "entity_types" in overrides:
            values = {name: value for name, value in values.items() if name not in _DERIVED_NAMES}
        made = super().from_dict(values, **kwargs)
        for name, value in foreign.items():
            setattr(made[0] if isinstance(made, tuple) else made, name, value)
        return made

    def update(self, config_dict: Mapping[str, Any]) -> None:
        """Set several attributes, which are checked together."""
        own = {name: value for name, value in config_dict.items() if name in OWN_FIELDS}
        for name in config_dict:
            _refuse_misspelt_name(name)
        if own:
            self._set(_checked({name: getattr(self, name) for name in OWN_FIELDS} | own), own)
        super().update({name: value for name, value in config_dict.items() if name not in OWN_FIELDS})

    def __setattr__(self, name: str, value: Any) -> None:
        if name in OWN_FIELDS and name in self.__dict__:
            self._set(_checked({field: getattr(self, field) for field in OWN_FIELDS} | {name: value}), (name,))
        elif name in _DERIVED_NAMES and "entity_types" in self.__dict__:
            self._check_derived(name, value)
        else:
            _refuse_misspelt_name(name)
            super().__setattr__(name, value)

    def _set(self, checked: dict[str, Any], names: Any = None) -> None:
        """Set fields whose values were checked, and what follows from them."""
        self.__dict__.update({name: checked[name] for name in (OWN_FIELDS if names is None else names)})
        labels = (NO_ENTITY, *self.entity_types)
        self.__dict__["id2label"] = dict(enumerate(labels))
        self.__dict__["label2id"] = {name: index for index, name in enumerate(labels)}

    def _check_derived(self, name: str, value: Any) -> None:
        expected = getattr(self, name)
        if name == "id2label" and isinstance(value, Mapping):
            value = {int(index): label for index, label in value.items()}  # keys are strings in JSON
        if value != expected:
            raise ValueError(
                f"SpertConfig.{name}: expected {expected!r:.200}, which follows from entity_types, got {value!r:.200}. "
                f"Leave it out, and set entity_types."
            )

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> PreTrainedConfig:
        """The encoder's configuration: vocabulary and hidden size are its own (`resize_token_embeddings` asks here)."""
        return self.encoder_config

    def to_dict(self) -> dict[str, Any]:
        """All fields; those that came after the first version only where they are not the default.

        A model that makes no use of them has the configuration that it always had, for older code and in checkpoints.
        """
        values = super().to_dict()
        return {name: value for name, value in values.items() if name not in _LATER or value != _LATER[name]}

    @property
    def max_pieces(self) -> int | None:
        """The longest input that the encoder takes, in pieces with the special ones; `None` where it has no limit."""
        return encoder_max_pieces(self.encoder_config)


OWN_FIELDS = tuple(
    name
    for name, parameter in inspect.signature(SpertConfig.__init__).parameters.items()
    if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
)
"""The names of this class's own fields."""

_LATER = {
    name: inspect.signature(SpertConfig.__init__).parameters[name].default
    for name in OWN_FIELDS[OWN_FIELDS.index("relation_head") :]
}
"""The fields that came after the first version, and their defaults."""


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """All own fields, each checked by itself and with the others."""
    options = DecodingOptions(
        **{name: values[name] for name in ("entity_types", "relation_types", "symmetric_relations", *DECODING_FIELDS)}
    )
    checked = {name: getattr(options, name) for name in DECODING_FIELDS}
    for name in ("entity_types", "relation_types", "symmetric_relations"):
        checked[name] = list(getattr(options, name))
    checked["max_span_width"] = _checked_int("max_span_width", values["max_span_width"], 1, WIDTH_EMBEDDING_ROWS - 1)
    for name in ("width_embedding_size", "sentences_per_window", "relation_hidden_size"):
        checked[name] = _checked_int(name, values[name], 1, None)
    for name in ("distance_embedding_size", "context_window"):
        checked[name] = _checked_int(name, values[name], 0, None)
    for name in ("entity_type_features", "span_boundaries"):
        checked[name] = _checked_bool(name, values[name])
    checked["head_dropout"] = checked_probability("head_dropout", values["head_dropout"])
    if checked["head_dropout"] == 1.0:
        raise ValueError("head_dropout: expected a number from 0 to below 1, got 1.0.")
    checked["span_pooling"] = checked_choice("span_pooling", values["span_pooling"], SPAN_POOLINGS)
    checked["relation_context"] = checked_choice("relation_context", values["relation_context"], RELATION_CONTEXTS)
    checked["relation_head"] = checked_choice("relation_head", values["relation_head"], RELATION_HEADS)
    refuse_useless_window(checked["relation_context"], checked["context_window"])
    checked["encoder_config"] = checked_encoder_config(values["encoder_config"])
    return checked


def refuse_useless_window(relation_context: str, context_window: int) -> None:
    """Refuse words around a pair of spans where the context is not what stands between them.

    Raises:
        ValueError: `context_window` is above 0, and `relation_context` is `full` or `cls`.
    """
    if context_window and relation_context in ("full", "cls"):
        raise ValueError(
            f"context_window: expected 0 with relation_context {relation_context!r}, which is the same for all pairs "
            f"of a sentence, got {context_window}. Set relation_context to localized or attention, or context_window "
            f"to 0."
        )


def _is_known(name: str) -> bool:
    return (
        name in OWN_FIELDS
        or name in _LIBRARY_NAMES
        or name in PreTrainedConfig.__dataclass_fields__
        or name in _GENERATION_NAMES
        or name.startswith("_")
    )


_GENERATION_NAMES = frozenset(GenerationConfig().to_dict())


def _refuse_other_model_types(model_type: Any) -> None:
    if model_type != SpertConfig.model_type:
        raise ValueError(
            f"SpertConfig: expected a configuration of model type 'spert', got {model_type!r}. To put a SpERT model on "
            f"top of a pre-trained encoder, use SpertModel.from_encoder(name_or_folder, entity_types=…)."
        )


def _refuse_misspelt_name(name: str, resemblance: float = 0.75) -> None:
    """Refuse an unknown name that resembles one of ours."""
    if not _is_known(name) and (close := difflib.get_close_matches(name, OWN_FIELDS, n=1, cutoff=resemblance)):
        raise ValueError(f"SpertConfig: unknown name {name!r}; did you mean {close[0]!r}?")


def _refuse_unknown_names(names: Mapping[str, Any]) -> None:
    for name in names:
        _refuse_misspelt_name(name, resemblance=0.6)
        if not _is_known(name):
            raise ValueError(f"SpertConfig: unknown name {name!r}; the names are {', '.join(OWN_FIELDS)}.")


def _checked_int(field: str, value: int, least: int, most: int | None) -> int:
    bounds = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        raise ValueError(f"{field}: expected {bounds}, got {value!r}.")
    return value


def _checked_bool(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{field}: expected true or false, got {value!r}.")
    return value


def _as_values(encoder_config: PreTrainedConfig | dict[str, Any] | None) -> dict[str, Any]:
    return encoder_config.to_dict() if isinstance(encoder_config, PreTrainedConfig) else dict(encoder_config or {})


SpertConfig.register_for_auto_class("AutoConfig")
