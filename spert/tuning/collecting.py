"""What a model scores on annotated sentences: its entities and all their pairs, and which of them are right.

Millions of pairs are arrays of numbers here, never objects. Which entities there are, which pairs may be relations, and
what happens to overlaps and symmetric relations, decoding itself decides (`decoding_spert`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from tqdm.auto import tqdm

from ..decoding_spert import (
    DecodedSentence,
    decode,
    resolve_overlaps,
    scored_candidates_of,
    select_entities,
    select_relations,
    tidy_symmetric_relations,
)
from ..encoding_spert import EncodedDocument
from ..modeling_spert import SpertModel
from ..neighbours_spert import context_of, with_context
from ..options_spert import NO_ENTITY, DecodingOptions
from ..outputs_spert import SpertOutput
from ..prediction import evaluation_mode
from ..processing_spert import SpertProcessor
from ..results_spert import merge_windows
from .calibration import sigmoid, softmax

LEAST_SCORE_IN_WINDOWS = 0.01
"""Relations in sentences that are read in windows are looked at from this score on: windows are merged as objects."""


@dataclass(frozen=True)
class ScoredSplit:
    """The entities of all sentences and the relations that could join them, with gold counts.

    A decision is whether a relation of one type joins one head and one tail. Of a symmetric relation's two directions
    the better one stands here, as either makes it a relation.

    Shapes:
        entity_sentence: `(entities,)`, the sentence of each entity
        entity_type: `(entities,)`, the index of its type
        entity_logits: `(entities, 1 + entity types)`
        entity_label: `(entities,)`, the gold class of its span, 0 for no entity
        head, tail: `(decisions,)`, indices of entities
        relation_type: `(decisions,)`, the index of the type
        relation_logits: `(decisions,)`
        relation_correct: `(decisions,)`, whether it is right with both entity types
        gold_entities: `(sentences, entity types)`, how many there are
        gold_relations: `(sentences, relation types)`, how many there are
    """

    entity_sentence: np.ndarray
    entity_type: np.ndarray
    entity_logits: np.ndarray
    entity_label: np.ndarray
    head: np.ndarray
    tail: np.ndarray
    relation_type: np.ndarray
    relation_logits: np.ndarray
    relation_correct: np.ndarray
    gold_entities: np.ndarray
    gold_relations: np.ndarray

    @property
    def entity_correct(self) -> np.ndarray:
        """Whether each entity is right: `(entities,)`, bool."""
        return self.entity_label == self.entity_type + 1

    def entity_scores(self, temperature: float) -> np.ndarray:
        """The score of each entity, as decoding computes it: `(entities,)`, float32."""
        probabilities = softmax(self.entity_logits / temperature)
        return probabilities[np.arange(len(probabilities)), self.entity_type + 1].astype(np.float32)

    def relation_scores(self, temperature: float) -> np.ndarray:
        """The score of each decision: `(decisions,)`, float32."""
        return sigmoid(self.relation_logits / temperature).astype(np.float32)


def score_split(
    model: SpertModel,
    processor: SpertProcessor,
    dataset: Dataset,
    options: DecodingOptions,
    *,
    batch_size: int = 16,
    progress: bool = False,
) -> ScoredSplit:
    """Run a model over annotated sentences.

    Args:
        options: what counts as found, but for relation thresholds, which are not looked at.

    Raises:
        ValueError: the sentences have no relations, or types that the model does not know.
    """
    records = dataset.to_list()
    _refuse(records, options)
    inputs = [
        {"tokens": record["tokens"], **context_of(record)} for record in with_context(records, processor.context_words)
    ]
    documents = processor.encode_documents(inputs)
    collected = _Collector(records, options)
    short = [number for number, document in enumerate(documents) if len(document.rows) == 1]
    long = [number for number, document in enumerate(documents) if len(document.rows) > 1]
    windows: dict[int, list[Any]] = {number: [None] * len(documents[number].rows) for number in long}
    total = sum(len(document.rows) for document in documents)
    bar = tqdm(total=total, unit="sentence", disable=not progress)
    with bar, evaluation_mode(model), torch.inference_mode():
        for numbers in (short, long):
            chosen = [documents[number] for number in numbers]
            for rows in processor.plan_batches(chosen, batch_size):
                batch = processor.pad([chosen[index].rows[row] for index, row in rows])
                batch.to(model.device)
                outputs = model(**batch, return_dict=True)
                if numbers is short:
                    collected.add_batch(outputs, [numbers[index] for index, _ in rows])
                else:
                    for (index, row), sentence in zip(rows, collected.decode_windows(outputs)):
                        windows[numbers[index]][row] = sentence
                bar.update(len(rows))
    for number in long:
        collected.add_document(number, documents[number], windows[number])
    return collected.whole()


class _Collector:
    """Puts the columns of a [`ScoredSplit`] together, a batch or a document at a time."""

    def __init__(self, records: Sequence[Mapping[str, Any]], options: DecodingOptions):
        # Logits, not scores, of all relations: temperatures are found later.
        self.options = replace(options, temperature={**options.temperature, "relations": 1.0}, relation_threshold=0.0)
        self.gold = [_Gold(record, options) for record in records]
        self.entities: list[tuple[np.ndarray, ...]] = []
        self.decisions: list[tuple[np.ndarray, ...]] = []
        self.num_entities = 0

    def add_batch(self, outputs: SpertOutput, sentences: Sequence[int]) -> None:
        """Add sentences that are a row each.

        Args:
            sentences: the number of each row's sentence.
        """
        options = self.options
        assert outputs.candidate_entities is not None
        assert outputs.candidate_logits is not None
        assert outputs.entity_logits is not None
        entities = resolve_overlaps(select_entities(scored_candidates_of(outputs), options), options)
        relations = select_relations(outputs.candidate_logits.double(), entities, options)
        relations = relations.at(relations.scores.argsort(descending=True, stable=True))
        relations = tidy_symmetric_relations(relations, entities, options)  # keeps the first, now the best, direction

        left = entities.stays == torch.arange(len(entities.stays), device=entities.stays.device)
        position = (left.cumsum(0) - 1).cpu()
        row, span = outputs.candidate_entities[left].unbind(-1)
        sentence = torch.tensor(sentences)[row.cpu()]
        keys = self._add_entities(
            sentence, entities.spans[left].cpu(), entities.types[left].cpu(), outputs.entity_logits[row, span].cpu()
        )
        head, tail, types, scores = (values.cpu() for values in relations)
        self._add_decisions(position[head], position[tail], types, torch.logit(scores), keys)

    def decode_windows(self, outputs: SpertOutput) -> list[DecodedSentence]:
        """What each window holds: entities with all scores, and relations in both directions."""
        options = replace(self.options, symmetric_relations=(), relation_threshold=LEAST_SCORE_IN_WINDOWS)
        assert outputs.candidate_logits is not None
        entities = decode(
            SpertOutput(**{**outputs, "candidate_logits": outputs.candidate_logits[:0]}), options, None, True
        )
        relations = decode(outputs, options)
        return [
            DecodedSentence(first.entities, second.relations) for first, second in zip(entities, relations, strict=True)
        ]

    def add_document(self, number: int, document: EncodedDocument, windows: Sequence[DecodedSentence]) -> None:
        """Add a sentence that is read in windows."""
        options = replace(self.options, symmetric_relations=())
        found = merge_windows(document.windows, windows, options)
        best: dict[tuple[int, int, int], float] = {}
        for relation in found.relations:
            head, tail = relation.head, relation.tail
            if relation.type in self.options.symmetric_relations:
                head, tail = _in_order(head, tail, found.entities)
            key = (head, tail, self.options.relation_types.index(relation.type))
            best[key] = max(best.get(key, 0.0), relation.score)
        classes = (NO_ENTITY, *self.options.entity_types)
        probabilities = [[(entity.scores or {})[name] for name in classes] for entity in found.entities]
        logits = torch.tensor(probabilities, dtype=torch.float64).reshape(-1, len(classes)).clamp(min=1e-45).log()
        keys = self._add_entities(
            torch.full((len(found.entities),), number),
            torch.tensor([entity[:2] for entity in found.entities], dtype=torch.long).reshape(-1, 2),
            torch.tensor([self.options.entity_types.index(entity.type) for entity in found.entities], dtype=torch.long),
            logits * self.options.temperature["entities"],
        )
        decisions = torch.tensor(list(best), dtype=torch.long).reshape(-1, 3)
        scores = torch.tensor(list(best.values()), dtype=torch.float64)
        heads, tails, types = decisions.unbind(-1)
        self._add_decisions(heads, tails, types, torch.logit(scores, eps=1e-7), keys)

    def whole(self) -> ScoredSplit:
        """All that was added. A decision between entities `head` and `tail` names them by index."""
        sentence, types, logits, labels = (np.concatenate(column) for column in zip(*self.entities))
        head, tail, relation_types, relation_logits, correct = (
            np.concatenate(column) for column in zip(*self.decisions)
        )
        return ScoredSplit(
            entity_sentence=sentence,
            entity_type=types,
            entity_logits=logits,
            entity_label=labels,
            head=head,
            tail=tail,
            relation_type=relation_types,
            relation_logits=relation_logits,
            relation_correct=correct,
            gold_entities=np.array([gold.num_entities for gold in self.gold]),
            gold_relations=np.array([gold.num_relations for gold in self.gold]),
        )

    def _add_entities(self, sentence: Tensor, spans: Tensor, types: Tensor, logits: Tensor) -> Tensor:
        """Add entities; the result are the gold relations between them, as keys of `_key`."""
        number: dict[tuple[int, tuple[int, int, int]], int] = {}
        labels = []
        for index, (of_sentence, (start, end), kind) in enumerate(
            zip(sentence.tolist(), spans.tolist(), types.tolist())
        ):
            gold_types = self.gold[of_sentence].types_of_span.get((start, end), [])
            labels.append(1 + (kind if kind in gold_types else gold_types[0]) if gold_types else 0)
            number[of_sentence, (start, end, kind)] = index
        keys = [
            self._key(number[of_sentence, head], number[of_sentence, tail], kind, len(labels))
            for of_sentence in sorted(set(sentence.tolist()))
            for head, tail, kind in self.gold[of_sentence].relations
            if (of_sentence, head) in number and (of_sentence, tail) in number
        ]
        self.entities.append(
            (sentence.numpy(), types.numpy(), logits.float().numpy(), np.array(labels, dtype=np.int64))
        )
        return torch.tensor(keys, dtype=torch.long)

    def _add_decisions(self, head: Tensor, tail: Tensor, types: Tensor, logits: Tensor, gold_keys: Tensor) -> None:
        """Add decisions between the entities that were added last."""
        num_entities = len(self.entities[-1][0])
        correct = torch.isin(self._key(head, tail, types, num_entities), gold_keys)
        self.decisions.append(
            (
                (head + self.num_entities).int().numpy(),
                (tail + self.num_entities).int().numpy(),
                types.short().numpy(),
                logits.float().numpy(),
                correct.numpy(),
            )
        )
        self.num_entities += num_entities

    def _key(self, head: Any, tail: Any, kind: Any, num_entities: int) -> Any:
        return (head * num_entities + tail) * len(self.options.relation_types) + kind


class _Gold:
    """What is annotated in a sentence, each thing once, as `compute_scores` counts it."""

    def __init__(self, record: Mapping[str, Any], options: DecodingOptions):
        entity_types = {name: index for index, name in enumerate(options.entity_types)}
        relation_types = {name: index for index, name in enumerate(options.relation_types)}
        entities = [(one["start"], one["end"], entity_types[one["type"]]) for one in record["entities"]]
        self.types_of_span: dict[tuple[int, int], list[int]] = {}
        for start, end, kind in sorted(set(entities)):
            self.types_of_span.setdefault((start, end), []).append(kind)
        relations = set()
        for relation in record["relations"]:
            head, tail = relation["head"], relation["tail"]
            if relation["type"] in options.symmetric_relations and entities[tail][0] < entities[head][0]:
                head, tail = tail, head
            relations.add((entities[head], entities[tail], relation_types[relation["type"]]))
        self.relations = sorted(relations)
        self.num_entities = np.bincount([kind for *_, kind in set(entities)] or [0], minlength=len(entity_types))
        self.num_relations = np.bincount([kind for *_, kind in relations] or [0], minlength=len(relation_types))
        if not entities:
            self.num_entities[:] = 0
        if not relations:
            self.num_relations[:] = 0


def _in_order(head: int, tail: int, entities: Sequence[Any]) -> tuple[int, int]:
    return (tail, head) if entities[tail].start < entities[head].start else (head, tail)


def _refuse(records: Sequence[Mapping[str, Any]], options: DecodingOptions) -> None:
    for field, known in (("entities", options.entity_types), ("relations", options.relation_types)):
        unknown = sorted({annotation["type"] for record in records for annotation in record[field]} - set(known))
        if unknown:
            raise ValueError(
                f"Tuning: expected {field} of the types that the model knows, {list(known)}, got {unknown[0]!r}."
            )
    if not any(record["relations"] for record in records):
        raise ValueError(
            f"Tuning: expected sentences with relations, got {len(records)} sentences without any. Thresholds of "
            f"relations cannot be found on them: name another split."
        )
