"""What the model returns."""

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput

from .options_spert import DecodingOptions


@dataclass
class SpertOutput(ModelOutput):
    """What `SpertModel` returns.

    `loss`, `entity_loss` and `relation_loss` are there with labels, `false_pair_loss` where it was asked for,
    `relation_logits` where `pairs` were given, and the candidates with `decoding` where they were not.

    Shapes:
        loss: scalar, the sum of the losses below
        entity_loss: scalar, mean cross-entropy over the spans of the batch that are not padding
        relation_loss: scalar, mean over the pairs of the batch that are not padding of the mean binary cross-entropy
            over relation types
        false_pair_loss: scalar, mean over sentences of the mean binary cross-entropy of their pairs with wrong spans
        entity_logits: `(batch, spans, 1 + entity types)`, float32; column 0 means "no entity". Rows of padding spans
            hold nothing of meaning.
        relation_logits: `(batch, pairs, relation types)`, float32
        spans: `(batch, spans, 2)`, the word ranges that were scored, `[0, 0)` for padding
        candidate_entities: `(entities, 2)`, sentence and index into `spans` of every span that is predicted to be an
            entity, or of every given entity; by sentence and then in the order of `spans`
        candidate_counts: `(batch,)`, the number of candidate entities of each sentence; row `i` of `candidate_logits`
            belongs to the pair `ordered_pairs(candidate_counts, i)` of rows of `candidate_entities`
        candidate_logits: `(candidates, relation types)`, float32, for all ordered pairs of distinct candidate entities
            of one sentence
        decoding: not a tensor: what counts as found, from the model's configuration
    """

    loss: Tensor | None = None
    entity_loss: Tensor | None = None
    relation_loss: Tensor | None = None
    false_pair_loss: Tensor | None = None
    entity_logits: Tensor | None = None
    relation_logits: Tensor | None = None
    spans: Tensor | None = None
    candidate_entities: Tensor | None = None
    candidate_counts: Tensor | None = None
    candidate_logits: Tensor | None = None
    decoding: DecodingOptions | None = None
