"""SpERT: an encoder, a span classifier and a relation classifier (Eberts and Ulges, arXiv:1909.07755).

One `forward` serves training and inference, with one encoder pass:

* with `spans` (and `pairs`) it scores what it was given, as in training;
* without, it scores every span of up to `max_span_width` words, takes those whose best type is not "none" as entities,
  and scores every ordered pair of them.

Axes: `batch` sentences, `pieces` of the encoder's input, `words`, `spans`, `pairs` given in training, `entities` and
`candidates` found at inference (flat through the batch), `hidden` the encoder's width.
"""

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from .configuration_spert import LABEL_PADDING, WIDTH_EMBEDDING_ROWS, SpertConfig
from .spans_spert import (
    RangePooler,
    candidate_spans,
    count_words,
    ordered_pairs,
    piece_ranges,
    pool_by_width,
    span_between,
    span_widths,
    take,
)

if TYPE_CHECKING:
    # Never run: it makes `save_pretrained` of a model carry what AutoProcessor, the pipeline and training need.
    from .collating_spert import SpertDataCollator  # noqa: F401
    from .pipeline_spert import SpertPipeline  # noqa: F401

JOINED_WIDTHS_ELEMENTS = {"cpu": 2**18, "cuda": 2**28}
"""Spans of several widths are scored by one product while their vectors hold at most this many numbers: on a CPU, what
stays in its cache; on a GPU, where launching costs more than copying, nearly always all of them.
"""

CANDIDATE_CHUNK_ELEMENTS = {"cpu": 2**20, "cuda": 2**26}
"""Candidate pairs are scored in chunks of about this many context numbers (`candidates × hidden`): 4 MB in float32 on a
CPU, 256 MB on a GPU.
"""


@dataclass(frozen=True)
class DecodingSettings:
    """What decoding needs to know of the configuration: names in classifier order, symmetry, and the threshold."""

    entity_types: tuple[str, ...]
    relation_types: tuple[str, ...]
    symmetric_relations: tuple[str, ...]
    relation_threshold: float


@dataclass
class SpertOutput(ModelOutput):
    """What [`SpertModel`] returns.

    Args:
        loss: scalar, `entity_loss + relation_loss`; with `span_labels` or `pair_labels` only.
        entity_loss: scalar, mean cross-entropy over the spans of the batch that are not padding.
        relation_loss: scalar, mean over the pairs of the batch that are not padding of the mean binary cross-entropy
            over relation types.
        entity_logits: `(batch, spans, 1 + entity types)`, float32; column 0 means "no entity". Rows of padding spans
            hold nothing of meaning.
        relation_logits: `(batch, pairs, relation types)`, float32; where `pairs` were given.
        spans: `(batch, spans, 2)`, the word ranges that were scored, `[0, 0)` for padding.
        candidate_entities: `(entities, 2)`, sentence and index into `spans` of every span that is predicted to be an
            entity, by sentence and then in the order of `spans`; where no `pairs` were given.
        candidate_counts: `(batch,)`, the number of predicted entities of each sentence; row `i` of `candidate_logits`
            belongs to the pair `ordered_pairs(candidate_counts, i)` of rows of `candidate_entities`.
        candidate_logits: `(candidates, relation types)`, float32, for all ordered pairs of distinct predicted entities
            of one sentence; where no `pairs` were given.
        decoding: names, symmetry and threshold of the model's configuration.
    """

    loss: Tensor | None = None
    entity_loss: Tensor | None = None
    relation_loss: Tensor | None = None
    entity_logits: Tensor | None = None
    relation_logits: Tensor | None = None
    spans: Tensor | None = None
    candidate_entities: Tensor | None = None
    candidate_counts: Tensor | None = None
    candidate_logits: Tensor | None = None
    decoding: DecodingSettings | None = None


class SpanClassifier(nn.Module):
    """Scores spans: one linear layer over [classifier piece, pooled span, width embedding] (paper, section 3.1)."""

    def __init__(self, hidden_size: int, width_embedding_size: int, num_types: int, dropout: float):
        super().__init__()
        self.hidden_size = hidden_size
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * hidden_size + width_embedding_size, 1 + num_types)

    def forward(self, sentence: Tensor, pooled: Tensor, width_embedding: Tensor) -> Tensor:
        """Score any spans.

        *Shape:* `sentence` `(batch, hidden)`; `pooled` `(batch, spans, hidden)`; `width_embedding`
        `(batch, spans, width embedding)`; result `(batch, spans, 1 + entity types)`, float32.
        """
        if _drops(self.dropout):
            shared = sentence.unsqueeze(1).expand_as(pooled)
            return self.linear(self.dropout(torch.cat((shared, pooled, width_embedding), dim=-1))).float()
        of_sentence, of_span, of_width = self._weights()
        return (
            F.linear(pooled, of_span).float()
            + F.linear(width_embedding, of_width).float()
            + F.linear(sentence, of_sentence, self.linear.bias).float().unsqueeze(1)
        )

    def by_width(self, sentence: Tensor, pooled_by_width: Any, width_embeddings: Tensor) -> Tensor:
        """Score all candidate spans, one width at a time.

        *Shape:* `sentence` `(batch, hidden)`; `pooled_by_width` yields `(batch, words - width + 1, hidden)` for width
        1, 2, …; `width_embeddings` `(max width, width embedding)`; result `(batch, spans, 1 + entity types)`, float32,
        in the order of `candidate_spans`.
        """
        of_sentence, of_span, of_width = self._weights()
        shared = F.linear(sentence, of_sentence, self.linear.bias).float().unsqueeze(1)
        shared = shared.unsqueeze(2) + F.linear(width_embeddings, of_width).float()  # (batch, 1, max width, types)
        most = _limit_of(JOINED_WIDTHS_ELEMENTS, sentence.device)
        logits: list[Tensor] = []
        joined: list[Tensor] = []
        first = size = 0
        for pooled in pooled_by_width:
            if not torch.compiler.is_compiling() and joined and size + pooled.numel() > most:
                logits.append(self._of_widths(joined, shared[:, :, first : first + len(joined)], of_span))
                first, joined, size = first + len(joined), [], 0
            joined.append(pooled)
            size += pooled.numel()
        if joined:
            logits.append(self._of_widths(joined, shared[:, :, first:], of_span))
        if not logits:
            return shared[:, :0, 0]
        return logits[0] if len(logits) == 1 else torch.cat(logits, dim=1)

    def _of_widths(self, joined: list[Tensor], shared: Tensor, of_span: Tensor) -> Tensor:
        """Score the spans of some widths together."""
        parts = [shared[:, :, index].expand(-1, pooled.shape[1], -1) for index, pooled in enumerate(joined)]
        if len(joined) == 1:
            return F.linear(joined[0], of_span).float() + parts[0]
        return F.linear(torch.cat(joined, dim=1), of_span).float() + torch.cat(parts, dim=1)

    def _weights(self) -> tuple[Tensor, ...]:
        hidden = self.hidden_size
        return self.linear.weight.split((hidden, hidden, self.linear.in_features - 2 * hidden), dim=1)


class PairClassifier(nn.Module):
    """Scores pairs: one linear layer over [context, head, tail, width of head, width of tail] (paper, section 3.2)."""

    def __init__(self, hidden_size: int, width_embedding_size: int, num_types: int, dropout: float):
        super().__init__()
        self.hidden_size = hidden_size
        self.width_embedding_size = width_embedding_size
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(3 * hidden_size + 2 * width_embedding_size, num_types)

    def forward(self, context: Tensor, head: Tensor, tail: Tensor, head_width: Tensor, tail_width: Tensor) -> Tensor:
        """Score pairs with their vectors joined.

        *Shape:* `context`, `head`, `tail` `(batch, pairs, hidden)`; the widths' embeddings
        `(batch, pairs, width embedding)`; result `(batch, pairs, relation types)`, float32.
        """
        return self.linear(self.dropout(torch.cat((context, head, tail, head_width, tail_width), dim=-1))).float()

    def of_entities(self, pooled: Tensor, width_embedding: Tensor) -> tuple[Tensor, Tensor]:
        """What an entity adds to the logits of every pair that it heads, and of every pair that it ends.

        *Shape:* `pooled` `(entities, hidden)`, `width_embedding` `(entities, width embedding)`; result twice
        `(entities, relation types)`, float32; the bias is in the first.
        """
        _, head, tail, head_width, tail_width = self._weights()
        as_head = F.linear(pooled, head, self.linear.bias).float() + F.linear(width_embedding, head_width).float()
        as_tail = F.linear(pooled, tail).float() + F.linear(width_embedding, tail_width).float()
        return as_head, as_tail

    def of_context(self, context: Tensor) -> Tensor:
        """What a context adds. *Shape:* `(contexts, hidden)` to `(contexts, relation types)`, float32."""
        return F.linear(context, self._weights()[0]).float()

    def _weights(self) -> tuple[Tensor, ...]:
        hidden, width = self.hidden_size, self.width_embedding_size
        return self.linear.weight.split((hidden, hidden, hidden, width, width), dim=1)


class SpertPreTrainedModel(PreTrainedModel):
    """What transformers needs to know to initialise, load, save and place a SpERT model."""

    config: SpertConfig
    config_class = SpertConfig
    base_model_prefix = "spert"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # the loss is a mean over spans and pairs, not over a trainer's item count
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True


class SpertModel(SpertPreTrainedModel):
    """Span-based joint entity and relation extraction.

    Args:
        config: the model's configuration.
        encoder: an encoder that is already there, whose configuration equals `config.encoder_config`; without it, one
            with random weights is made. Users call [`SpertModel.from_encoder`] instead.
    """

    def __init__(self, config: SpertConfig, encoder: PreTrainedModel | None = None):
        super().__init__(config)
        if encoder is None:
            encoder = AutoModel.from_config(
                config.encoder_config, trust_remote_code=False, **_without_pooler(config.encoder_config)
            )
        self.encoder = encoder
        # One object for the encoder, its layers and this configuration: a choice of attention reaches all of them.
        self.config.encoder_config = encoder.config
        hidden_size = config.encoder_config.hidden_size
        sizes = (hidden_size, config.width_embedding_size)
        self.width_embeddings = nn.Embedding(WIDTH_EMBEDDING_ROWS, config.width_embedding_size)
        self.span_classifier = SpanClassifier(*sizes, len(config.entity_types), config.head_dropout)
        self.pair_classifier = (
            PairClassifier(*sizes, len(config.relation_types), config.head_dropout) if config.relation_types else None
        )
        self.post_init()

    @classmethod
    def from_encoder(
        cls,
        pretrained_model_name_or_path: str,
        *,
        encoder_kwargs: dict[str, Any] | None = None,
        **config_kwargs: Any,
    ) -> "SpertModel":
        """A model to be trained: a pre-trained encoder, and heads with random weights.

        Args:
            pretrained_model_name_or_path: the encoder, on the Hub or in a folder. Its code must be transformers' own.
            encoder_kwargs: what its download and loading take (`revision`, `token`, `cache_dir`, `dtype`,
                `attn_implementation`, …). Without `dtype` it is float32, whatever the checkpoint's own.
            config_kwargs: the fields of [`SpertConfig`] but `encoder_config`: `entity_types`, `relation_types`, …

        Returns:
            The model in training mode.
        """
        encoder_kwargs = {"dtype": torch.float32, **(encoder_kwargs or {}), "trust_remote_code": False}
        loading = {name: value for name, value in encoder_kwargs.items() if name != "dtype"}
        encoder_config = AutoConfig.from_pretrained(pretrained_model_name_or_path, **loading)
        SpertConfig(encoder_config=_as_dictionary(encoder_config), **config_kwargs)  # refuse before the weights load
        encoder = AutoModel.from_pretrained(
            pretrained_model_name_or_path,
            **encoder_kwargs,
            **_without_pooler(encoder_config),
        )
        encoder.config.name_or_path = ""  # a saved model does not tell where it was made
        config = SpertConfig(encoder_config=_as_dictionary(encoder.config), **config_kwargs)
        model = cls(config, encoder=encoder)
        return model.to(encoder.dtype).train()

    def get_input_embeddings(self) -> nn.Module:
        """The encoder's piece embeddings."""
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the encoder's piece embeddings."""
        self.encoder.set_input_embeddings(value)

    def forward(
        self,
        input_ids: Tensor,
        word_pieces: Tensor,
        attention_mask: Tensor | None = None,
        cls_piece: Tensor | None = None,
        spans: Tensor | None = None,
        span_labels: Tensor | None = None,
        pairs: Tensor | None = None,
        pair_labels: Tensor | None = None,
        return_dict: bool | None = None,
    ) -> SpertOutput | tuple[Any, ...]:
        """Score spans and pairs.

        Args:
            input_ids: `(batch, pieces)`.
            word_pieces: `(batch, words, 2)`, the half-open range of pieces of each word, `[0, 0)` for padding.
            attention_mask: `(batch, pieces)`, 1 for pieces, 0 for padding. Default: no padding.
            cls_piece: `(batch,)`, where each sentence's classifier piece stands. Default: at 0.
            spans: `(batch, spans, 2)`, word ranges to score, `[0, 0)` for padding. Default: all candidate spans.
            span_labels: `(batch, spans)`: 0 for no entity, `i + 1` for `entity_types[i]`, -100 for padding.
            pairs: `(batch, pairs, 2)`, head and tail as indices into `spans`. Default: all ordered pairs of the spans
                that are predicted to be entities.
            pair_labels: `(batch, pairs, relation types)`, 1.0 where a relation holds, 0.0 where not, -100 for padding.
            return_dict: `False` for a plain tuple.
        """
        hidden_states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if cls_piece is None:
            cls_piece = input_ids.new_zeros(len(input_ids))
        cls_states = hidden_states[torch.arange(len(hidden_states), device=hidden_states.device), cls_piece]
        pooler = self.pooler_of(hidden_states)

        if spans is None:
            spans, entity_logits = self._score_candidate_spans(pooler, cls_states, word_pieces)
            pooled = None
        else:
            pooled = pooler(piece_ranges(word_pieces, spans))
            entity_logits = self.span_classifier(cls_states, pooled, self.width_embeddings(span_widths(spans)))

        fields: dict[str, Tensor] = {}
        if pairs is None:
            fields |= self._score_candidate_pairs(pooler, cls_states, word_pieces, spans, entity_logits)
        elif self.pair_classifier is not None:
            if pooled is None:
                raise ValueError("SpertModel: expected `spans` beside `pairs`, which are indices into them; got none.")
            fields["relation_logits"] = self._score_given_pairs(pooler, cls_states, word_pieces, spans, pooled, pairs)

        losses = {}
        if span_labels is not None:
            losses["entity_loss"] = entity_loss(entity_logits, span_labels)
        if pair_labels is not None and "relation_logits" in fields:
            losses["relation_loss"] = relation_loss(fields["relation_logits"], pair_labels)
        output = SpertOutput(
            loss=torch.stack(list(losses.values())).sum() if losses else None,
            entity_logits=entity_logits,
            spans=spans,
            decoding=self._decoding_settings(),
            **losses,
            **fields,
        )
        if return_dict is None:
            return_dict = self.config.return_dict
        return output if return_dict else output.to_tuple()

    def pooler_of(self, hidden_states: Tensor) -> RangePooler:
        """What pools ranges of pieces as the configuration says. *Shape:* `(batch, pieces, hidden)`."""
        return RangePooler(hidden_states, self.config.span_pooling)

    def _score_candidate_spans(
        self, pooler: RangePooler, cls_states: Tensor, word_pieces: Tensor
    ) -> tuple[Tensor, Tensor]:
        """*Shape:* `(batch, spans, 2)`, word ranges, and `(batch, spans, 1 + entity types)`."""
        max_width = self.config.max_span_width
        spans = candidate_spans(word_pieces.shape[1], max_width, word_pieces.device)
        inside = spans[:, 1] <= count_words(word_pieces).unsqueeze(1)
        entity_logits = self.span_classifier.by_width(
            cls_states,
            pool_by_width(pooler, word_pieces, max_width),
            self.width_embeddings.weight[1 : max_width + 1],
        )
        return spans.unsqueeze(0) * inside.unsqueeze(-1), entity_logits

    def _score_given_pairs(
        self,
        pooler: RangePooler,
        cls_states: Tensor,
        word_pieces: Tensor,
        spans: Tensor,
        pooled: Tensor,
        pairs: Tensor,
    ) -> Tensor:
        """*Shape:* `pairs` `(batch, pairs, 2)`, `pooled` `(batch, spans, hidden)` to `(batch, pairs, types)`."""
        assert self.pair_classifier is not None
        head, tail = pairs.unbind(-1)
        widths = self.width_embeddings(span_widths(spans))
        ranges = piece_ranges(word_pieces, spans)
        if self.config.relation_context == "localized":
            context = pooler(span_between(take(ranges, head), take(ranges, tail)))
        else:
            context = self._sentence_context(pooler, cls_states, word_pieces)
            context = context.unsqueeze(1).expand(*pairs.shape[:2], -1)
        return self.pair_classifier(
            context, take(pooled, head), take(pooled, tail), take(widths, head), take(widths, tail)
        )

    @torch.compiler.disable
    def _score_candidate_pairs(
        self,
        pooler: RangePooler,
        cls_states: Tensor,
        word_pieces: Tensor,
        spans: Tensor,
        entity_logits: Tensor,
    ) -> dict[str, Tensor]:
        """All ordered pairs of the spans that are predicted to be entities; one synchronisation with the host.

        Never compiled: its shapes depend on the data, so that nearly every batch would be compiled anew.
        """
        is_entity = (entity_logits.argmax(dim=-1) > 0) & (span_widths(spans) > 0)  # (batch, spans)
        counts = is_entity.sum(dim=1)
        num_entities, num_pairs = torch.stack((counts.sum(), (counts * (counts - 1)).sum())).tolist()
        # The k-th entity stands where the running count reaches k: nothing is sorted, and nobody waits.
        running = is_entity.flatten().cumsum(0)
        index = torch.searchsorted(running, torch.arange(1, num_entities + 1, device=running.device))
        num_spans = max(spans.shape[1], 1)
        entities = torch.stack((index.div(num_spans, rounding_mode="floor"), index % num_spans), dim=-1)
        found = {"candidate_entities": entities, "candidate_counts": counts}
        if self.pair_classifier is None or num_pairs == 0:
            num_types = len(self.config.relation_types)
            return found | {"candidate_logits": entity_logits.new_zeros((num_pairs, num_types))}

        sentence = entities[:, 0]
        entity_spans = spans[sentence, entities[:, 1]]
        first_words, last_words = entity_spans[:, 0], entity_spans[:, 1] - 1
        ranges = torch.stack((word_pieces[sentence, first_words, 0], word_pieces[sentence, last_words, 1]), dim=-1)
        as_head, as_tail = self.pair_classifier.of_entities(
            pooler.flat(sentence, ranges), self.width_embeddings(span_widths(entity_spans))
        )
        localized = self.config.relation_context == "localized"
        if not localized:
            context = self.pair_classifier.of_context(self._sentence_context(pooler, cls_states, word_pieces))
        chunk_size = max(1, _limit_of(CANDIDATE_CHUNK_ELEMENTS, spans.device) // pooler.hidden_size)
        chunks = []
        for start in range(0, num_pairs, chunk_size):
            index = torch.arange(start, min(start + chunk_size, num_pairs), device=spans.device)
            head, tail = ordered_pairs(counts, index)
            if localized:
                between = pooler.flat(sentence[head], span_between(ranges[head], ranges[tail]))
                of_context = self.pair_classifier.of_context(between)
            else:
                of_context = context[sentence[head]]
            chunks.append(as_head[head] + as_tail[tail] + of_context)
        return found | {"candidate_logits": torch.cat(chunks)}

    def _sentence_context(self, pooler: RangePooler, cls_states: Tensor, word_pieces: Tensor) -> Tensor:
        """The `full` or `cls` context, the same for all pairs of a sentence. *Shape:* `(batch, hidden)`."""
        if self.config.relation_context == "cls":
            return cls_states
        sentence_words = count_words(word_pieces)
        whole = torch.stack((torch.zeros_like(sentence_words), sentence_words), dim=-1).unsqueeze(1)
        return pooler(piece_ranges(word_pieces, whole)).squeeze(1)

    def _decoding_settings(self) -> DecodingSettings:
        return DecodingSettings(
            entity_types=tuple(self.config.entity_types),
            relation_types=tuple(self.config.relation_types),
            symmetric_relations=tuple(self.config.symmetric_relations),
            relation_threshold=self.config.relation_threshold,
        )


def entity_loss(entity_logits: Tensor, span_labels: Tensor) -> Tensor:
    """Mean cross-entropy over the spans that are not padding; 0 where there are none.

    *Shape:* `(batch, spans, 1 + entity types)` and `(batch, spans)` to a scalar.
    """
    total = F.cross_entropy(
        entity_logits.flatten(0, 1), span_labels.flatten(), ignore_index=LABEL_PADDING, reduction="sum"
    )
    return total / (span_labels != LABEL_PADDING).sum().clamp(min=1)


def relation_loss(relation_logits: Tensor, pair_labels: Tensor) -> Tensor:
    """Mean over the pairs that are not padding of the mean binary cross-entropy over relation types; 0 without pairs.

    *Shape:* twice `(batch, pairs, relation types)` to a scalar.
    """
    counted = pair_labels != LABEL_PADDING
    targets = pair_labels.to(relation_logits.dtype) * counted
    each = F.binary_cross_entropy_with_logits(relation_logits, targets, reduction="none")
    return (each * counted).sum() / counted.sum().clamp(min=1)


def _limit_of(limits: dict[str, int], device: torch.device) -> int:
    """A limit for the kind of device; what is unknown is treated as a CPU."""
    return limits.get(device.type, limits["cpu"])


def _drops(dropout: nn.Dropout) -> bool:
    """Whether this dropout changes anything: then each joined vector needs a mask of its own."""
    return dropout.training and dropout.p > 0


def _as_dictionary(encoder_config: PreTrainedConfig) -> dict[str, Any]:
    """An encoder's configuration without where it came from, and for a type of transformers' without other code."""
    values = encoder_config.to_dict()
    values.pop("_name_or_path", None)
    if type(encoder_config) in MODEL_MAPPING:
        values.pop("auto_map", None)
    return values


def _without_pooler(encoder_config: PreTrainedConfig) -> dict[str, bool]:
    """Leave out a pooler that nothing uses: it would be a parameter without a gradient."""
    if type(encoder_config) not in MODEL_MAPPING:
        raise ValueError(
            f"SpertModel: expected an encoder whose code transformers ships, got {type(encoder_config).__name__}."
        )
    encoder_class: Any = MODEL_MAPPING[type(encoder_config)]
    if isinstance(encoder_class, tuple):  # a type with several models: the first is the plain one
        encoder_class = encoder_class[0]
    if "add_pooling_layer" in inspect.signature(encoder_class).parameters:
        return {"add_pooling_layer": False}
    return {}


SpertModel.register_for_auto_class("AutoModel")
