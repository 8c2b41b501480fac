"""From a model's output to entities and relations of words: select entities, resolve overlaps, select relations, tidy
symmetric ones.

Knows no tokenizer and no text: `processing_spert` adds both. Scores stay in tensors until a relation is selected: a
model that calls every span an entity scores millions of pairs.
"""

import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .candidates_spert import FoundEntities, ScoredCandidates, refuse_not_finite, scored_candidates
from .options_spert import NO_ENTITY, DecodingOptions
from .spans_spert import ordered_pairs

if TYPE_CHECKING:
    from .outputs_spert import SpertOutput

DROPPED = -1


class DecodedEntity(NamedTuple):
    """An entity: word range, type name, and the probability of its type.

    `scores` are the probabilities of all types, and of `no_entity`; with `return_all_scores` only.
    """

    start: int
    end: int
    type: str
    score: float
    scores: dict[str, float] | None = None


class DecodedRelation(NamedTuple):
    """A relation: head and tail as indices into the sentence's entities, type name, and its probability."""

    head: int
    tail: int
    type: str
    score: float


class DecodedPair(NamedTuple):
    """A candidate pair: head and tail as indices into the sentence's entities, and the probability of each type."""

    head: int
    tail: int
    scores: dict[str, float]


class DecodedSentence(NamedTuple):
    """What was found in a sentence.

    Args:
        entities: sorted by (start, end, type); given entities in the order in which they were given.
        relations: sorted by (head, tail, type).
        pairs: every ordered pair of `entities`, sorted by (head, tail); with `return_all_scores` only.
    """

    entities: list[DecodedEntity]
    relations: list[DecodedRelation]
    pairs: list[DecodedPair] | None = None


class CandidateEntities(NamedTuple):
    """The candidate entities of a batch, in the order of `SpertOutput.candidate_entities`.

    Shapes:
        sentence: `(entities,)`, row in the batch
        spans: `(entities, 2)`, word ranges
        types: `(entities,)`, index of the type
        scores: `(entities,)`, probability of the type
        probabilities: `(entities, 1 + entity types)`
        counts: `(batch,)`, candidates of each sentence
        stays: `(entities,)`, the index of the entity that stands for this one: itself; another one, to which its
            relations move; or `DROPPED`
    """

    sentence: Tensor
    spans: Tensor
    types: Tensor
    scores: Tensor
    probabilities: Tensor
    counts: Tensor
    stays: Tensor


class SelectedRelations(NamedTuple):
    """Relations that were selected, by head and then by tail.

    Shapes:
        head, tail: `(relations,)`, indices of candidate entities
        types: `(relations,)`, index of the type
        scores: `(relations,)`
    """

    head: Tensor
    tail: Tensor
    types: Tensor
    scores: Tensor

    def at(self, index: Tensor) -> "SelectedRelations":
        """Some of them, by index or mask."""
        return SelectedRelations(*(values[index] for values in self))


def decode(
    outputs: "SpertOutput",
    options: DecodingOptions | None = None,
    given_types: Sequence[Sequence[str | None] | None] | None = None,
    return_all_scores: bool = False,
) -> list[DecodedSentence]:
    """What the model found in each sentence of a batch.

    Args:
        outputs: of a forward without `pairs`.
        options: what counts as found. Default: the model configuration's, which the outputs carry.
        given_types: where the forward had `given_entities`: for each sentence the type of each given entity, or `None`
            for the likeliest one. The result holds exactly these entities, in this order: thresholds and overlaps of
            entities are not looked at. Default: entities were not given.
        return_all_scores: keep the scores of all types, for each entity and each pair of entities.

    Raises:
        ValueError: the outputs hold no candidates, or the given types do not fit the given entities.
        RuntimeError: a pair has a logit that is NaN or infinite.
    """
    if outputs.decoding is None or outputs.candidate_entities is None:
        raise ValueError(
            "decode: expected the output of a forward that looks for entities itself, got one of a forward with "
            "`pairs`. Call the model with what the processor returns, without `spans` and `pairs`."
        )
    options = outputs.decoding if options is None else options
    return decode_candidates(scored_candidates_of(outputs), options, given_types, return_all_scores)


def decode_candidates(
    scored: ScoredCandidates,
    options: DecodingOptions,
    given_types: Sequence[Sequence[str | None] | None] | None = None,
    return_all_scores: bool = False,
) -> list[DecodedSentence]:
    """What `decode` finds, of what it reads of a forward; arguments and errors are the same."""
    if given_types is None:
        entities = resolve_overlaps(select_entities(scored, options), options)
    else:
        entities = take_given_entities(scored, options, given_types)
    relations = select_relations(scored.pair_logits, entities, options)
    relations = tidy_symmetric_relations(relations, entities, options)
    found = _Collected(entities, options, len(scored.counts), scored.pair_logits, keeps_order=given_types is not None)
    if return_all_scores:
        found.add_all_scores()
    return found.with_relations(relations)


def select_entities(scored: ScoredCandidates, options: DecodingOptions) -> CandidateEntities:
    """Candidates whose likeliest class is a type, with a score of at least the type's threshold."""
    entities = _candidates(scored, options)
    classes = entities.probabilities.argmax(dim=-1)
    scores = entities.probabilities.gather(-1, classes.unsqueeze(-1)).squeeze(-1)
    types = (classes - 1).clamp(min=0)
    thresholds = scores.new_tensor(list(options.thresholds("entity_threshold").values()))
    is_entity = (classes > 0) & (scores >= thresholds[types])
    return entities._replace(types=types, scores=scores, stays=entities.stays.masked_fill(~is_entity, DROPPED))


def take_given_entities(
    scored: ScoredCandidates, options: DecodingOptions, given_types: Sequence[Sequence[str | None] | None]
) -> CandidateEntities:
    """Every candidate, with the type that was given for it, or else with the likeliest type."""
    entities = _candidates(scored, options)
    counts = entities.counts.tolist()
    if len(given_types) != len(counts):
        raise ValueError(
            f"decode: expected given_types for each of the {len(counts)} sentences, got {len(given_types)}."
        )
    names: list[str | None] = []
    for index, (of_sentence, count) in enumerate(zip(given_types, counts)):
        of_sentence = [None] * count if of_sentence is None else of_sentence
        if len(of_sentence) != count:
            raise ValueError(
                f"decode: expected a type or None for each of the {count} given entities of sentence {index}, got "
                f"{len(of_sentence)}."
            )
        names.extend(of_sentence)
    number = {name: index for index, name in enumerate(options.entity_types)}
    unknown = [name for name in names if name is not None and name not in number]
    if unknown:
        raise ValueError(
            f"decode: expected entity types out of {list(options.entity_types)} or None, got {unknown[0]!r}."
        )
    likeliest = entities.probabilities[:, 1:].argmax(dim=-1)
    given = likeliest.new_tensor([DROPPED if name is None else number[name] for name in names], dtype=torch.long)
    types = torch.where(given == DROPPED, likeliest, given)
    return entities._replace(types=types, scores=entities.probabilities.gather(-1, types.unsqueeze(-1) + 1).squeeze(-1))


def resolve_overlaps(entities: CandidateEntities, options: DecodingOptions) -> CandidateEntities:
    """Drop the worse of two entities that must not overlap.

    Entities are looked at from the best score to the worst (of equal scores the one that starts first, then the longer
    one, then the one whose type comes first) and stay unless they overlap one that stays. The relations of a dropped
    entity move to the best one of its type among those that it overlaps, if there is one.
    """
    if options.overlapping_entities == "all":
        return entities
    stays = entities.stays.tolist()
    sentence, types, scores = entities.sentence.tolist(), entities.types.tolist(), entities.scores.tolist()
    spans = entities.spans.tolist()
    clash = _cross if options.overlapping_entities == "nested" else _overlap
    kept: dict[int, list[int]] = {}
    by_score = (index for index in range(len(stays)) if stays[index] != DROPPED)
    for index in sorted(by_score, key=lambda i: (-scores[i], spans[i][0], -spans[i][1], types[i])):
        of_sentence = kept.setdefault(sentence[index], [])
        clashing = [other for other in of_sentence if clash(spans[index], spans[other])]
        if clashing:
            stays[index] = next((other for other in clashing if types[other] == types[index]), DROPPED)
        else:
            of_sentence.append(index)
    return entities._replace(stays=entities.stays.new_tensor(stays))


def select_relations(
    candidate_logits: Tensor, entities: CandidateEntities, options: DecodingOptions
) -> SelectedRelations:
    """Relations with a score of at least their type's threshold, between entities of types that they may join.

    Relations of dropped entities go, or move with them: then one that would join an entity with itself goes, and of
    equal ones the better score is left.

    Args:
        candidate_logits: `(candidates, relation types)`, of all ordered pairs of candidate entities.
    """
    scores = _tempered(candidate_logits, options.temperature["relations"]).sigmoid()
    thresholds = scores.new_tensor(list(options.thresholds("relation_threshold").values()))
    pair, types = (scores >= thresholds).nonzero().unbind(-1)
    head, tail = ordered_pairs(entities.counts, pair)
    relations = SelectedRelations(entities.stays[head], entities.stays[tail], types, scores[pair, types])
    allowed = (relations.head != DROPPED) & (relations.tail != DROPPED) & (relations.head != relations.tail)
    if options.relation_arguments is not None:
        joins = _argument_table(options).to(types.device)
        allowed &= joins[types, entities.types[relations.head], entities.types[relations.tail]]
    relations = relations.at(allowed)
    if options.overlapping_entities != "all":
        relations = relations.at(relations.scores.argsort(descending=True, stable=True))
        relations = _first_of_equal(relations, entities, options)
    return relations


def tidy_symmetric_relations(
    relations: SelectedRelations, entities: CandidateEntities, options: DecodingOptions
) -> SelectedRelations:
    """Let the entity that starts first head a symmetric relation, and leave one relation where both directions were
    selected: the one that comes first in candidate order, as in the original.

    Entities with equal starts are neither swapped nor merged.
    """
    if not options.symmetric_relations:
        return relations
    is_symmetric = torch.tensor(
        [name in options.symmetric_relations for name in options.relation_types], device=relations.types.device
    )
    head, tail, types, scores = relations
    turned = is_symmetric[types] & (entities.spans[tail, 0] < entities.spans[head, 0])
    head, tail = torch.where(turned, tail, head), torch.where(turned, head, tail)
    return _first_of_equal(SelectedRelations(head, tail, types, scores), entities, options)


class _Collected:
    """The result of a batch, as Python objects."""

    def __init__(
        self,
        entities: CandidateEntities,
        options: DecodingOptions,
        batch_size: int,
        candidate_logits: Tensor,
        keeps_order: bool,
    ):
        self.entities = entities
        self.options = options
        self.candidate_logits = candidate_logits
        self.sentences = [DecodedSentence([], []) for _ in range(batch_size)]
        # One number more in a list that comes to the host anyway: how many pairs have a logit that is not finite.
        num_not_finite = (~candidate_logits.sum(dim=-1).isfinite()).sum()
        self.sentence: list[int]
        *self.sentence, not_finite = torch.cat((entities.sentence, num_not_finite.unsqueeze(0))).tolist()
        refuse_not_finite(not_finite, "pairs of entities")
        self.position = [0] * len(self.sentence)  # of each entity in the list of its sentence
        columns = torch.stack((*entities.spans.unbind(-1), entities.types, entities.stays)).tolist()
        starts, ends, types, stays = columns
        names = [options.entity_types[index] for index in types]
        rows: Iterable[tuple[int, int, int, str, int, float]] = zip(
            self.sentence, starts, ends, names, range(len(names)), entities.scores.tolist()
        )
        if not keeps_order:
            rows = sorted(row for row, stay in zip(rows, stays) if row[4] == stay)
        for sentence, start, end, name, index, score in rows:
            found = self.sentences[sentence].entities
            self.position[index] = len(found)
            found.append(DecodedEntity(start, end, name, score))

    def add_all_scores(self) -> None:
        """Give each entity the scores of all types, and list all pairs with theirs."""
        entities, options, candidate_logits = self.entities, self.options, self.candidate_logits
        names = (NO_ENTITY, *options.entity_types)
        is_left = entities.stays == torch.arange(len(entities.stays), device=entities.stays.device)
        for index in is_left.nonzero().squeeze(-1).tolist():
            found, position = self.sentences[self.sentence[index]].entities, self.position[index]
            found[position] = found[position]._replace(scores=dict(zip(names, entities.probabilities[index].tolist())))
        head, tail = ordered_pairs(entities.counts, torch.arange(len(candidate_logits), device=is_left.device))
        both = is_left[head] & is_left[tail]
        scores = _tempered(candidate_logits[both], options.temperature["relations"]).sigmoid()
        pairs: list[list[DecodedPair]] = [[] for _ in self.sentences]
        for head_index, tail_index, row in zip(head[both].tolist(), tail[both].tolist(), scores.tolist()):
            pairs[self.sentence[head_index]].append(
                DecodedPair(
                    self.position[head_index], self.position[tail_index], dict(zip(options.relation_types, row))
                )
            )
        self.sentences = [
            sentence._replace(pairs=sorted(of_sentence, key=lambda pair: pair[:2]))
            for sentence, of_sentence in zip(self.sentences, pairs)
        ]

    def with_relations(self, relations: SelectedRelations) -> list[DecodedSentence]:
        """The sentences, with their relations."""
        position, names = self.position, self.options.relation_types
        rows = [
            (self.sentence[head], position[head], position[tail], names[type_index], score)
            for head, tail, type_index, score in zip(*(values.tolist() for values in relations))
        ]
        rows.sort(key=operator.itemgetter(0, 1, 2, 3))
        for sentence, head, tail, name, score in rows:
            self.sentences[sentence].relations.append(DecodedRelation(head, tail, name, score))
        return self.sentences


def scored_candidates_of(outputs: "SpertOutput") -> ScoredCandidates:
    """What decoding reads of a whole output, of a forward that looked for entities itself."""
    assert outputs.spans is not None
    assert outputs.entity_logits is not None
    assert outputs.candidate_entities is not None
    assert outputs.candidate_counts is not None
    assert outputs.candidate_logits is not None
    found = FoundEntities(
        outputs.spans,
        outputs.entity_logits,
        outputs.candidate_entities,
        outputs.candidate_counts,
        len(outputs.candidate_logits),
    )
    return scored_candidates(found, outputs.candidate_logits)


def _candidates(scored: ScoredCandidates, options: DecodingOptions) -> CandidateEntities:
    """All candidates, whose types are not known yet."""
    probabilities = _tempered(scored.logits, options.temperature["entities"]).softmax(dim=-1)
    index = torch.arange(len(scored.sentence), device=scored.sentence.device)
    return CandidateEntities(
        sentence=scored.sentence,
        spans=scored.spans,
        types=torch.zeros_like(index),
        scores=probabilities[:, 0],
        probabilities=probabilities,
        counts=scored.counts,
        stays=index,
    )


def _tempered(logits: Tensor, temperature: float) -> Tensor:
    return logits if temperature == 1 else logits / temperature


def _overlap(first: list[int], second: list[int]) -> bool:
    return first[0] < second[1] and second[0] < first[1]


def _cross(first: list[int], second: list[int]) -> bool:
    """Whether two spans overlap and neither holds the other. Equal spans hold each other."""
    return (
        _overlap(first, second)
        and not (first[0] <= second[0] and second[1] <= first[1])
        and not (second[0] <= first[0] and first[1] <= second[1])
    )


def _argument_table(options: DecodingOptions) -> Tensor:
    """Whether a relation may join two types.

    Shapes:
        result: `(relation types, entity types, entity types)`, of head and tail
    """
    number = {name: index for index, name in enumerate(options.entity_types)}
    table = torch.ones((len(options.relation_types), len(number), len(number)), dtype=torch.bool)
    for relation, pairs in (options.relation_arguments or {}).items():
        joins = table[options.relation_types.index(relation)]
        joins.fill_(False)
        for head, tail in pairs:
            joins[number[head], number[tail]] = True
            if relation in options.symmetric_relations:
                joins[number[tail], number[head]] = True
    return table


def _first_of_equal(
    relations: SelectedRelations, entities: CandidateEntities, options: DecodingOptions
) -> SelectedRelations:
    """Of relations with equal head, tail and type the first; by head, then by tail, then by type."""
    key = (relations.head * len(entities.stays) + relations.tail) * len(options.relation_types) + relations.types
    key, order = key.sort(stable=True)
    is_first = torch.ones_like(key, dtype=torch.bool)
    is_first[1:] = key[1:] != key[:-1]
    return relations.at(order[is_first])
