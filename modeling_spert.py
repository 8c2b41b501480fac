"""SpERT: an encoder, a span classifier and a relation classifier (Eberts and Ulges, arXiv:1909.07755).

One `forward` serves training and inference, with one encoder pass:

* with `spans` and `pairs` it scores what it was given, as in training;
* without, it finds entities (`find_entities`): it scores every span of up to `max_span_width` words and takes those
  whose likeliest class is a type; then it scores every ordered pair of them (`score_pairs`);
* with `given_entities` these take the place of the entities that it would find.

Axes: `batch` sentences, `pieces` of the encoder's input, `words`, `spans`, `pairs` given in training, `entities` and
`candidates` found at inference (flat through the batch), `hidden` the encoder's width.
"""

import inspect
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from .candidates_spert import (
    CountedEntities,
    FoundEntities,
    batch_candidate_spans,
    count_entities,
    false_entity_pairs,
    take_entities,
)
from .configuration_spert import WIDTH_EMBEDDING_ROWS, SpertConfig
from .heads_spert import SpanClassifier, limit_of
from .losses_spert import entity_loss, false_pair_loss, relation_loss
from .options_spert import DecodingOptions
from .outputs_spert import SpertOutput
from .pair_contexts_spert import ContextAttention, Mentions, flat_piece_ranges, pieces_around
from .pairs_spert import NUM_DISTANCES, PairClassifier, Shared, distance_rows, outer_entities
from .spans_spert import (
    RangePooler,
    count_words,
    ordered_pairs,
    piece_ranges,
    pool_by_width,
    span_between,
    span_widths,
    take,
)
from .transfer_spert import HeadTransfer, transfer_heads
from .weights_spert import refuse_other_weights, refuse_weights_that_are_not_finite

if TYPE_CHECKING:
    # Never run: it makes `save_pretrained` of a model carry what AutoProcessor, the pipeline and training need.
    from .collating_spert import SpertDataCollator  # noqa: F401
    from .pipeline_spert import SpertPipeline  # noqa: F401

logger = logging.getLogger(__name__)

CANDIDATE_CHUNK_ELEMENTS = {"cpu": 2**20, "cuda": 2**26}
"""Candidate pairs are scored in chunks of about this many context numbers (`candidates × hidden`): 4 MB in float32 on a
CPU, 256 MB on a GPU.
"""


class SentenceStates(NamedTuple):
    """What the heads read of the sentences of a batch.

    Shapes:
        pooler: pools ranges of the hidden states `(batch, pieces, hidden)`
        cls_states: `(batch, hidden)`, of the classifier pieces
        word_pieces: `(batch, words, 2)`, the piece range of each word
        hidden: `(batch, pieces, hidden)`
    """

    pooler: RangePooler
    cls_states: Tensor
    word_pieces: Tensor
    hidden: Tensor


class EntityParts(NamedTuple):
    """What entities add to the sums that the pairs they are in are scored by.

    `outputs` are those of the pair classifier's first layer: the relation types, or the hidden layer of an `mlp`.

    Shapes:
        mentions: where they stand
        as_head, as_tail: `(entities, outputs)`, float32
        before, after: `(entities, outputs)`, float32, of the words around; with a pooled `context_window` only
        attention: `(entities, 2, pieces)`, as `ContextAttention.scores`; with that context only
    """

    mentions: Mentions
    as_head: Tensor
    as_tail: Tensor
    before: Tensor | None = None
    after: Tensor | None = None
    attention: Tensor | None = None


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
        self.transferred: HeadTransfer | None = None
        if encoder is None:
            encoder = AutoModel.from_config(
                config.encoder_config, trust_remote_code=False, **_without_pooler(config.encoder_config)
            )
        self.encoder = encoder
        # One object for the encoder, its layers and this configuration: a choice of attention reaches all of them.
        self.config.encoder_config = encoder.config
        hidden_size = config.encoder_config.hidden_size
        self.width_embeddings = nn.Embedding(WIDTH_EMBEDDING_ROWS, config.width_embedding_size)
        self.span_classifier = SpanClassifier(
            hidden_size,
            config.width_embedding_size,
            len(config.entity_types),
            config.head_dropout,
            config.span_boundaries,
        )
        self.pair_classifier: PairClassifier | None = None
        self.distance_embeddings: nn.Embedding | None = None
        self.context_attention: ContextAttention | None = None
        if config.relation_types:
            self.pair_classifier = PairClassifier(config)
            if config.distance_embedding_size:
                self.distance_embeddings = nn.Embedding(NUM_DISTANCES, config.distance_embedding_size)
            if config.relation_context == "attention":
                self.context_attention = ContextAttention(hidden_size)
        self.post_init()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
        """A saved model, in evaluation mode; arguments are those of `PreTrainedModel.from_pretrained`.

        transformers gives random numbers to weights that the files lack, with a warning; this class refuses them.

        Raises:
            ValueError: a weight is missing, unknown, NaN, infinite, or (without `ignore_mismatched_sizes`) of another
                shape; the message names it.
        """
        may_mismatch = kwargs.pop("ignore_mismatched_sizes", False)
        wants_info = kwargs.pop("output_loading_info", False)
        loaded: Any = super().from_pretrained(
            pretrained_model_name_or_path,
            *model_args,
            ignore_mismatched_sizes=True,  # refused below, by name
            output_loading_info=True,
            **kwargs,
        )
        model, info = loaded
        refuse_other_weights(info, pretrained_model_name_or_path, may_mismatch=may_mismatch)
        refuse_weights_that_are_not_finite(model, pretrained_model_name_or_path)
        return (model, info) if wants_info else model

    @classmethod
    def from_encoder(
        cls,
        pretrained_model_name_or_path: str,
        *,
        encoder_kwargs: dict[str, Any] | None = None,
        **config_kwargs: Any,
    ) -> "SpertModel":
        """A model to be trained: a pre-trained encoder, and heads with random weights.

        The encoder of a SpERT model serves, too: its heads' rows of the types that both models have, and its width
        embeddings, then take the place of random weights. `model.transferred` and the log say which; rows are taken
        over only where the two models' vectors mean the same: `width_embedding_size`, `span_pooling` and
        `span_boundaries` agree and, for relations, all that decides what the relation head reads.

        Args:
            pretrained_model_name_or_path: the encoder or the SpERT model, on the Hub or in a folder. The encoder's code
                must be transformers' own.
            encoder_kwargs: what its download and loading take (`revision`, `token`, `cache_dir`, `dtype`,
                `attn_implementation`, …). Without `dtype` it is float32, whatever the checkpoint's own.
            config_kwargs: the fields of [`SpertConfig`] but `encoder_config`: `entity_types`, `relation_types`, …
                Those of a SpERT model are not taken over.

        Returns:
            The model in training mode.

        Raises:
            ValueError: a field is refused, or a weight of the encoder is missing, NaN or infinite.
        """
        encoder_kwargs = {"dtype": torch.float32, **(encoder_kwargs or {}), "trust_remote_code": False}
        loading = {name: value for name, value in encoder_kwargs.items() if name != "dtype"}
        values, _ = PreTrainedConfig.get_config_dict(pretrained_model_name_or_path, **loading)
        source: SpertModel | None = None
        if values.get("model_type") == SpertConfig.model_type:
            # Refuse before the weights are read.
            SpertConfig(encoder_config=SpertConfig.from_dict(values).encoder_config.to_dict(), **config_kwargs)
            source = cls.from_pretrained(pretrained_model_name_or_path, **encoder_kwargs)
            encoder = source.encoder
        else:
            encoder_config = AutoConfig.from_pretrained(pretrained_model_name_or_path, **loading)
            SpertConfig(encoder_config=_as_dictionary(encoder_config), **config_kwargs)
            encoder, info = AutoModel.from_pretrained(
                pretrained_model_name_or_path,
                **encoder_kwargs,
                **_without_pooler(encoder_config),
                output_loading_info=True,
            )
            # Checkpoints come with heads of their own, and some without the pooler, which nothing here uses.
            refuse_other_weights(
                info, pretrained_model_name_or_path, may_be_unknown=True, may_miss=lambda name: "pooler" in name
            )
            refuse_weights_that_are_not_finite(encoder, pretrained_model_name_or_path)
        encoder.config.name_or_path = ""  # a saved model does not tell where it was made
        vars(encoder.config).pop("auto_map", None)  # nor does it name other code than that of transformers
        config = SpertConfig(encoder_config=_as_dictionary(encoder.config), **config_kwargs)
        model = cls(config, encoder=encoder)
        model.to(encoder.dtype)  # type: ignore[arg-type]  # transformers wraps it without its own types
        if source is not None:
            model.transferred = transfer_heads(source, model)
            logger.info(
                "SpertModel.from_encoder: taken over from %s: %s", pretrained_model_name_or_path, model.transferred
            )
        return model.train()

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
        given_entities: Tensor | None = None,
        num_false_entity_pairs: int = 0,
        given_types: Tensor | None = None,
        return_dict: bool | None = None,
    ) -> SpertOutput | tuple[Any, ...]:
        """Score spans and pairs.

        Args:
            input_ids, attention_mask: 1 in the mask for pieces, 0 for padding. Default: no padding.
            word_pieces: the half-open range of pieces of each word, `[0, 0)` for padding.
            cls_piece: where each sentence's classifier piece stands. Default: at 0.
            spans: word ranges to score, `[0, 0)` for padding. Default: all candidate spans.
            span_labels: 0 for no entity, `i + 1` for `entity_types[i]`, -100 for padding.
            pairs: head and tail as indices into `spans`. Default: all ordered pairs of candidate entities.
            pair_labels: 1.0 where a relation holds, 0.0 where not, -100 for padding.
            given_entities: word ranges that are the entities, in place of those that the model would find; `[0, 0)` for
                padding, at the end of a row.
            num_false_entity_pairs: besides the given pairs, up to so many of each sentence are trained to have no
                relation: pairs with spans that are labelled 0, and that the model itself calls entities.
            given_types: the types of these, as `type_key` of their names; 0 where a type is not given. A relation head
                with `entity_type_features` reads them; others do not.
            return_dict: `False` for a plain tuple.

        Shapes:
            input_ids: `(batch, pieces)`
            word_pieces: `(batch, words, 2)`
            attention_mask: `(batch, pieces)`
            cls_piece: `(batch,)`
            spans: `(batch, spans, 2)`
            span_labels: `(batch, spans)`
            pairs: `(batch, pairs, 2)`
            pair_labels: `(batch, pairs, relation types)`
            given_entities: `(batch, entities, 2)`
            given_types: `(batch, entities)`

        Raises:
            ValueError: `pairs` without `spans`, `given_entities` beside either, `given_types` without them, or
                `num_false_entity_pairs` without `pairs` and `span_labels`.
        """
        if pairs is not None and spans is None:
            raise ValueError("SpertModel: expected `spans` beside `pairs`, which are indices into them; got none.")
        if given_entities is not None and spans is not None:
            raise ValueError("SpertModel: expected either `given_entities` or `spans` (and `pairs`), got both.")
        if num_false_entity_pairs and (pairs is None or span_labels is None):
            raise ValueError(
                "SpertModel: expected `pairs` and `span_labels` beside `num_false_entity_pairs`, which is for training."
            )
        if given_types is not None and given_entities is None:
            raise ValueError("SpertModel: expected `given_entities` beside `given_types`, got none.")
        hidden_states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        states = self.sentence_states(hidden_states, word_pieces, cls_piece)

        fields: dict[str, Any] = {}
        if pairs is None:
            found = self.find_entities(states, spans=spans, given_entities=given_entities)
            spans, entity_logits = found.spans, found.entity_logits
            fields["candidate_entities"] = found.candidate_entities
            fields["candidate_counts"] = found.candidate_counts
            fields["candidate_logits"] = self.score_pairs(states, found, given_types)
            fields["decoding"] = self._decoding_options()
        else:
            assert spans is not None
            pieces = piece_ranges(word_pieces, spans)
            pooled = states.pooler(pieces)
            entity_logits = self._score_spans(states, spans, pieces, pooled)
            if self.pair_classifier is not None:
                fields["relation_logits"] = self._score_given_pairs(states, spans, pieces, pooled, entity_logits, pairs)

        losses: dict[str, Any] = {}
        if span_labels is not None:
            losses["entity_loss"] = entity_loss(entity_logits, span_labels)
        if pair_labels is not None and "relation_logits" in fields:
            losses["relation_loss"] = relation_loss(fields["relation_logits"], pair_labels)
        if num_false_entity_pairs and "relation_logits" in fields:
            assert span_labels is not None
            false_pairs, is_pair = false_entity_pairs(entity_logits, span_labels, num_false_entity_pairs)
            logits = self._score_given_pairs(states, spans, pieces, pooled, entity_logits, false_pairs)
            losses["false_pair_loss"] = false_pair_loss(logits, is_pair, span_labels)
        output = SpertOutput(
            loss=torch.stack(list(losses.values())).sum() if losses else None,
            entity_logits=entity_logits,
            spans=spans,
            **losses,
            **fields,
        )
        if return_dict is None:
            return_dict = self.config.return_dict
        return output if return_dict else output.to_tuple()

    def sentence_states(
        self,
        hidden_states: Tensor,
        word_pieces: Tensor,
        cls_piece: Tensor | None = None,
        num_levels: int | None = None,
    ) -> SentenceStates:
        """What the heads read of the encoder's output.

        Args:
            num_levels: as for [`RangePooler`].

        Shapes:
            hidden_states: `(batch, pieces, hidden)`
            word_pieces: `(batch, words, 2)`
            cls_piece: `(batch,)`
        """
        if cls_piece is None:
            cls_states = hidden_states[:, 0]
        else:
            sentence = torch.arange(hidden_states.shape[0], device=hidden_states.device)
            cls_states = hidden_states[sentence, cls_piece]
        pooler = RangePooler(hidden_states, self.config.span_pooling, num_levels)
        return SentenceStates(pooler, cls_states, word_pieces, hidden_states)

    def find_entities(
        self, states: SentenceStates, spans: Tensor | None = None, given_entities: Tensor | None = None
    ) -> FoundEntities:
        """Score spans, and take those whose likeliest class is a type as entities.

        Args:
            spans: word ranges to score, `[0, 0)` for padding. Default: all candidate spans.
            given_entities: word ranges that are scored and all taken, whatever their scores.

        Shapes:
            spans: `(batch, spans, 2)`
            given_entities: `(batch, entities, 2)`
        """
        return take_entities(self.count_entities(states, spans, given_entities))

    def count_entities(
        self, states: SentenceStates, spans: Tensor | None = None, given_entities: Tensor | None = None
    ) -> CountedEntities:
        """What `find_entities` does before the host has to know how many there are; arguments are the same."""
        are_given = given_entities is not None
        scored = given_entities if are_given else spans
        if scored is None:
            scored, entity_logits = self.score_candidate_spans(states)
        else:
            entity_logits = self.score_spans(states, scored)
        return count_entities(scored, entity_logits, are_given)

    def score_candidate_spans(self, states: SentenceStates) -> tuple[Tensor, Tensor]:
        """Score every span of up to `max_span_width` words.

        Shapes:
            spans: `(batch, spans, 2)`, word ranges, in the order of `candidate_spans`
            entity_logits: `(batch, spans, 1 + entity types)`
        """
        max_width = self.config.max_span_width
        entity_logits = self.span_classifier.by_width(
            states.cls_states,
            pool_by_width(states.pooler, states.word_pieces, max_width),
            self.width_embeddings.weight[1 : max_width + 1],
            states.hidden,
            states.word_pieces,
        )
        return batch_candidate_spans(states.word_pieces, max_width), entity_logits

    def score_spans(self, states: SentenceStates, spans: Tensor) -> Tensor:
        """Score any spans.

        Shapes:
            spans: `(batch, spans, 2)`, word ranges
            result: `(batch, spans, 1 + entity types)`
        """
        pieces = piece_ranges(states.word_pieces, spans)
        return self._score_spans(states, spans, pieces, states.pooler(pieces))

    @torch.compiler.disable
    def score_pairs(self, states: SentenceStates, found: FoundEntities, given_types: Tensor | None = None) -> Tensor:
        """Score all ordered pairs of the entities of each sentence, in chunks of bounded memory.

        Never compiled: its shapes depend on the data, so that nearly every batch would be compiled anew.

        Args:
            given_types: as for `forward`.

        Shapes:
            given_types: `(batch, entities)`
            result: `(candidates, relation types)`, in the order of `ordered_pairs(found.candidate_counts, …)`
        """
        if self.pair_classifier is None or found.num_pairs == 0:
            return found.entity_logits.new_zeros((found.num_pairs, len(self.config.relation_types)))
        probabilities = None
        if self.config.entity_type_features:
            probabilities = found.type_probabilities(self.config.entity_types, given_types)
        entities = self.read_entities(states, *found.entity_spans(), probabilities)
        device = found.spans.device
        chunk_size = max(1, limit_of(CANDIDATE_CHUNK_ELEMENTS, device) // self._numbers_of_a_pair(states))
        chunks = []
        for start in range(0, found.num_pairs, chunk_size):
            index = torch.arange(start, min(start + chunk_size, found.num_pairs), device=device)
            chunks.append(self.score_pairs_of(states, entities, *ordered_pairs(found.candidate_counts, index)))
        return torch.cat(chunks)

    def read_entities(
        self, states: SentenceStates, sentence: Tensor, spans: Tensor, type_probabilities: Tensor | None = None
    ) -> EntityParts:
        """What each entity adds to the scores of its pairs.

        Args:
            type_probabilities: of each entity; with `entity_type_features` only.

        Shapes:
            sentence: `(entities,)`, row in the batch, in order
            spans: `(entities, 2)`, word ranges
            type_probabilities: `(entities, 1 + entity types)`
        """
        assert self.pair_classifier is not None
        mentions = Mentions(sentence, spans, flat_piece_ranges(states.word_pieces, sentence, spans))
        pooled = states.pooler.flat(sentence, mentions.pieces)
        as_head, as_tail = self.pair_classifier.of_entities(
            self._entity_vectors(states, mentions, pooled, type_probabilities)
        )
        parts = EntityParts(mentions, as_head, as_tail)
        if self.context_attention is not None:
            return parts._replace(attention=self.context_attention.scores(states.hidden, sentence, pooled))
        around = self._pieces_around(states, mentions)
        if not around:
            return parts
        before, after = (
            self.pair_classifier.of_part(name, Shared(states.pooler.flat(sentence, around[name])))
            for name in ("before", "after")
        )
        return parts._replace(before=before, after=after)

    def score_pairs_of(self, states: SentenceStates, entities: EntityParts, head: Tensor, tail: Tensor) -> Tensor:
        """Score some pairs of entities.

        Shapes:
            head, tail: `(pairs,)`, indices of entities; those of a sentence together, in the order of sentences
            result: `(pairs, relation types)`
        """
        assert self.pair_classifier is not None
        sums = entities.as_head[head] + entities.as_tail[tail]
        for name, part in self._pair_vectors(states, entities.mentions, entities.attention, head, tail).items():
            sums = sums + self.pair_classifier.of_part(name, part)
        if entities.before is not None and entities.after is not None:
            first, last = outer_entities(entities.mentions.spans, head, tail)
            sums = sums + entities.before[first] + entities.after[last]
        return self.pair_classifier.of_sums(sums)

    def _numbers_of_a_pair(self, states: SentenceStates) -> int:
        """The numbers of the largest tensor that scoring a pair needs."""
        assert self.pair_classifier is not None
        sizes = [states.pooler.hidden_size, self.pair_classifier.first_layer.out_features]
        if self.context_attention is not None:
            sizes.append(states.hidden.shape[1])
        return max(sizes) * len(self.pair_classifier.context_parts)

    def _entity_vectors(
        self, states: SentenceStates, mentions: Mentions, pooled: Tensor, type_probabilities: Tensor | None
    ) -> dict[str, Tensor]:
        """The parts of entities, `(entities, size)` each, by the names of `entity_parts`."""
        vectors = {"pooled": pooled, "width": self.width_embeddings(span_widths(mentions.spans))}
        if self.config.span_boundaries:
            start, end = mentions.pieces.unbind(-1)
            vectors["first"] = states.hidden[mentions.sentence, start]
            vectors["last"] = states.hidden[mentions.sentence, (end - 1).clamp(min=0)]
        if self.config.entity_type_features:
            if type_probabilities is None:
                raise ValueError(
                    "SpertModel.read_entities: expected `type_probabilities`, which a relation head with "
                    "entity_type_features reads; got none. FoundEntities.type_probabilities gives them."
                )
            vectors["types"] = type_probabilities.to(pooled.dtype)
        return vectors

    def _pair_vectors(
        self, states: SentenceStates, mentions: Mentions, attention: Tensor | None, head: Tensor, tail: Tensor
    ) -> dict[str, Shared]:
        """The contexts of pairs and the distances in them; not the pooled words around, which belong to entities.

        Shapes:
            attention: `(entities, 2, pieces)`, as `ContextAttention.scores`
            head, tail: `(pairs,)`, indices of entities, by sentence
        """
        parts: dict[str, Shared] = {}
        sentence = mentions.sentence[head]
        if self.config.relation_context == "cls":
            parts["context"] = Shared(states.cls_states, sentence)
        elif self.config.relation_context == "full":
            num_words = count_words(states.word_pieces)
            whole = torch.stack((torch.zeros_like(num_words), num_words), dim=-1).unsqueeze(1)
            pooled = states.pooler(piece_ranges(states.word_pieces, whole)).squeeze(1)
            parts["context"] = Shared(pooled, sentence)
        else:
            between = span_between(mentions.pieces[head], mentions.pieces[tail])
            if self.context_attention is None:
                parts["context"] = Shared(states.pooler.flat(sentence, between))
            else:
                assert attention is not None
                ranges = [between]
                if around := self._pieces_around(states, mentions):
                    first, last = outer_entities(mentions.spans, head, tail)
                    ranges += [around["before"][first], around["after"][last]]
                scores = attention[head, 0] + attention[tail, 1]
                contexts = self.context_attention(states.hidden, sentence, scores, torch.stack(ranges, dim=1))
                names = ("context", "before", "after")
                parts |= {name: Shared(vectors) for name, vectors in zip(names, contexts.unbind(1))}
        if self.distance_embeddings is not None:
            rows = distance_rows(mentions.spans[head], mentions.spans[tail])
            parts["distance"] = Shared(self.distance_embeddings.weight, rows)
        return parts

    def _pieces_around(self, states: SentenceStates, mentions: Mentions) -> dict[str, Tensor]:
        """The pieces of the `context_window` words before and after entities, `(entities, 2)`; nothing without it."""
        if not self.config.context_window:
            return {}
        before, after = pieces_around(states.word_pieces, mentions, self.config.context_window)
        return {"before": before, "after": after}

    def _score_spans(self, states: SentenceStates, spans: Tensor, pieces: Tensor, pooled: Tensor) -> Tensor:
        """Score spans whose piece ranges and vectors `pooled` `(batch, spans, hidden)` are there already."""
        widths = self.width_embeddings(span_widths(spans))
        return self.span_classifier(states.cls_states, pooled, widths, states.hidden, pieces)

    def _score_given_pairs(
        self,
        states: SentenceStates,
        spans: Tensor,
        pieces: Tensor,
        pooled: Tensor,
        entity_logits: Tensor,
        pairs: Tensor,
    ) -> Tensor:
        """Score pairs of given spans, with their vectors joined, as dropout in training needs it.

        Type probabilities pass no gradient on: the loss of relations does not bend the scores of entities.

        Shapes:
            spans, pieces: `(batch, spans, 2)`, word and piece ranges
            pooled: `(batch, spans, hidden)`
            entity_logits: `(batch, spans, 1 + entity types)`
            pairs: `(batch, pairs, 2)`, indices into `spans`
            result: `(batch, pairs, relation types)`
        """
        assert self.pair_classifier is not None
        batch_size, num_pairs, _ = pairs.shape
        both = torch.cat(pairs.unbind(-1), dim=1)  # (batch, 2 · pairs): the heads of a sentence, then its tails
        rows = torch.arange(2 * batch_size * num_pairs, device=pairs.device).view(batch_size, 2, num_pairs)
        head, tail = rows[:, 0].flatten(), rows[:, 1].flatten()
        sentence = torch.arange(batch_size, device=pairs.device).unsqueeze(1).expand_as(both).flatten()
        mentions = Mentions(sentence, *(take(ranges, both).flatten(0, 1) for ranges in (spans, pieces)))
        of_mentions = take(pooled, both).flatten(0, 1)
        probabilities = attention = None
        if self.config.entity_type_features:
            probabilities = take(entity_logits.detach(), both).flatten(0, 1).softmax(dim=-1)
        if self.context_attention is not None:
            attention = self.context_attention.scores(states.hidden, sentence, of_mentions)
        parts = self._pair_vectors(states, mentions, attention, head, tail)
        if self.context_attention is None and (around := self._pieces_around(states, mentions)):
            first, last = outer_entities(mentions.spans, head, tail)
            parts["before"] = Shared(states.pooler.flat(sentence, around["before"]), first)
            parts["after"] = Shared(states.pooler.flat(sentence, around["after"]), last)
        vectors = {name: part.of_pairs().unflatten(0, (batch_size, num_pairs)) for name, part in parts.items()}
        for name, of_entities in self._entity_vectors(states, mentions, of_mentions, probabilities).items():
            by_role = of_entities.unflatten(0, (batch_size, 2, num_pairs))
            vectors |= {f"head_{name}": by_role[:, 0], f"tail_{name}": by_role[:, 1]}
        return self.pair_classifier(vectors)

    @torch.compiler.disable
    def _decoding_options(self) -> DecodingOptions:
        return DecodingOptions.of(self.config)


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
