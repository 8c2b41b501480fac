"""From a model's output to entities and relations of words: thresholds, symmetric relations, scores.

Knows no tokenizer and no text: `processing_spert` adds both.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch

from .spans_spert import ordered_pairs

if TYPE_CHECKING:
    from .modeling_spert import SpertOutput


class DecodedEntity(NamedTuple):
    """An entity: word range, type name, and the probability of its type."""

    start: int
    end: int
    type: str
    score: float


class DecodedRelation(NamedTuple):
    """A relation: head and tail as indices into the sentence's entities, type name, and its probability."""

    head: int
    tail: int
    type: str
    score: float


class DecodedSentence(NamedTuple):
    """Entities sorted by (start, end, type) and relations sorted by (head, tail, type)."""

    entities: list[DecodedEntity]
    relations: list[DecodedRelation]


def decode(outputs: "SpertOutput", relation_threshold: float | None = None) -> list[DecodedSentence]:
    """What the model found in each sentence of a batch.

    A relation holds where its probability is at least the threshold. The head of a symmetric relation is the entity
    that starts first (entities with equal starts stay as they are); where both directions hold, the one that comes
    first in candidate order is left, as in the original.

    Args:
        outputs: of a forward without `pairs`.
        relation_threshold: probability from 0 to 1. Default: the model configuration's.

    Raises:
        ValueError: the outputs hold no candidates, or the threshold is no probability.
    """
    settings = outputs.decoding
    if settings is None or outputs.candidate_entities is None:
        raise ValueError(
            "decode: expected the output of a forward that looks for entities itself, got one of a forward with "
            "`pairs`. Call the model with what the processor returns, without `spans` and `pairs`."
        )
    threshold = settings.relation_threshold if relation_threshold is None else relation_threshold
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise ValueError(f"decode: expected a relation_threshold from 0 to 1, got {threshold!r}.")
    assert outputs.spans is not None
    assert outputs.entity_logits is not None
    assert outputs.candidate_counts is not None
    assert outputs.candidate_logits is not None

    sentence, span = outputs.candidate_entities.unbind(-1)
    entity_spans = outputs.spans[sentence, span]  # (entities, 2)
    logits = outputs.entity_logits[sentence, span]
    entity_class = logits.argmax(dim=-1, keepdim=True)
    entity_scores = logits.softmax(dim=-1).gather(-1, entity_class).squeeze(-1).tolist()

    relation_scores = outputs.candidate_logits.sigmoid()
    pair, relation = (relation_scores >= threshold).nonzero().unbind(-1)
    relation_scores = relation_scores[pair, relation]
    head, tail = ordered_pairs(outputs.candidate_counts, pair)
    if settings.symmetric_relations:
        is_symmetric = torch.tensor(
            [name in settings.symmetric_relations for name in settings.relation_types], device=relation.device
        )
        turned = is_symmetric[relation] & (entity_spans[tail, 0] < entity_spans[head, 0])
        head, tail = torch.where(turned, tail, head), torch.where(turned, head, tail)
        key = (head * len(sentence) + tail) * len(settings.relation_types) + relation
        key, order = key.sort(stable=True)  # stable: of two equal ones the first in candidate order comes first
        first = torch.ones_like(key, dtype=torch.bool)
        first[1:] = key[1:] != key[:-1]
        order = order[first]
        head, tail, relation, relation_scores = head[order], tail[order], relation[order], relation_scores[order]

    found = [DecodedSentence([], []) for _ in range(len(outputs.spans))]
    rows = torch.cat((sentence.unsqueeze(-1), entity_spans, entity_class), dim=-1).tolist()
    entities = [
        (of_sentence, DecodedEntity(start, end, settings.entity_types[type_class - 1], score))
        for (of_sentence, start, end, type_class), score in zip(rows, entity_scores)
    ]
    position = [0] * len(entities)  # of each entity in its sentence's sorted list
    for row in sorted(range(len(entities)), key=lambda row: (entities[row][0], entities[row][1][:3])):
        of_sentence, entity = entities[row]
        position[row] = len(found[of_sentence].entities)
        found[of_sentence].entities.append(entity)
    for head_row, tail_row, type_index, score in zip(
        head.tolist(), tail.tolist(), relation.tolist(), relation_scores.tolist()
    ):
        found[entities[head_row][0]].relations.append(
            DecodedRelation(position[head_row], position[tail_row], settings.relation_types[type_index], score)
        )
    for one in found:
        one.relations.sort(key=lambda relation: relation[:3])
    return found
