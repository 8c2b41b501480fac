"""The graphs of an exported model, with dynamic batch, length, entities and pairs.

What depends on the data, which spans are entities and which pairs there are, stands between them, in `runtime.py`.
"""

from torch import Tensor, nn

from ..modeling_spert import SpertModel


def least_words(max_span_width: int) -> int:
    """The words of the shortest batch that a span graph takes; shorter ones are padded.

    With more words than the widest span has, there is more than one span of every width, and one graph serves all.
    """
    return max_span_width + 1


class _Graph(nn.Module):
    """A part of a model.

    Args:
        num_levels: of the table of [`RangePooler`]: one graph serves inputs of every length.
    """

    def __init__(self, model: SpertModel, num_levels: int):
        super().__init__()
        self.model = model
        self.num_levels = num_levels


class SpanGraph(_Graph):
    """Encoder and span head: pieces to hidden states and the logits of all candidate spans.

    There are at least `least_words` words, padding included.
    """

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, word_pieces: Tensor, cls_piece: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run the encoder, and `SpertModel.score_candidate_spans`.

        Shapes:
            hidden: `(batch, pieces, hidden)`
            logits: `(batch, spans, 1 + entity types)`
        """
        hidden = self.model.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        states = self.model.sentence_states(hidden, word_pieces, cls_piece, self.num_levels)
        return hidden, self.model.score_candidate_spans(states)[1]


class EntityGraph(_Graph):
    """The span head for given entities: hidden states and word ranges to logits."""

    def forward(self, hidden: Tensor, word_pieces: Tensor, cls_piece: Tensor, given_entities: Tensor) -> Tensor:
        """Run `SpertModel.score_spans`.

        Shapes:
            given_entities: `(batch, entities, 2)`
            result: `(batch, entities, 1 + entity types)`
        """
        states = self.model.sentence_states(hidden, word_pieces, cls_piece, self.num_levels)
        return self.model.score_spans(states, given_entities)


class PairGraph(_Graph):
    """The pair head: hidden states, entities and pairs of them to logits."""

    def forward(
        self,
        hidden: Tensor,
        word_pieces: Tensor,
        cls_piece: Tensor,
        sentence: Tensor,
        entity_spans: Tensor,
        head: Tensor,
        tail: Tensor,
        type_probabilities: Tensor | None = None,
    ) -> Tensor:
        """Run `SpertModel.score_pairs_of`.

        `type_probabilities` are an input only of models with `entity_type_features`.

        Shapes:
            sentence: `(entities,)`, row in the batch
            entity_spans: `(entities, 2)`, word ranges
            head, tail: `(pairs,)`, indices of entities
            type_probabilities: `(entities, 1 + entity types)`
            result: `(pairs, relation types)`
        """
        states = self.model.sentence_states(hidden, word_pieces, cls_piece, self.num_levels)
        entities = self.model.read_entities(states, sentence, entity_spans, type_probabilities)
        return self.model.score_pairs_of(states, entities, head, tail)
