"""Entity and relation scores, as the paper and its original implementation compute them.

* `ner`: span and entity type right.
* `rel_boundary`: relation type and both spans right.
* `rel_strict`: both entity types right as well.

Within a sentence a thing counts once. Macro averages run over the types that occur in references or predictions. A
score whose denominator is zero is 0.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]
"""Annotations of a sentence: `{"entities": [{type, start, end}], "relations": [{type, head, tail}]}`.

`start` and `end` are a half-open range of words or of characters, the same in references and predictions."""

TASKS = ("ner", "rel_boundary", "rel_strict")
AVERAGES = ("micro", "macro")
FIGURES = ("precision", "recall", "f1")
PRIMARY_SCORE = "rel_strict_micro_f1"
"""The number by which models are compared."""
GOLD_ENTITIES = "gold_entities"
OFF_WORD_BORDERS = "gold_entities_off_word_borders"
"""Keys of scores from text: how many gold entities there are, and how many begin or end inside of a word."""


def compute_scores(
    references: Sequence[Record],
    predictions: Sequence[Record],
    *,
    symmetric_relations: Iterable[str] = (),
    without_overlapping: bool = False,
) -> dict[str, Any]:
    """All scores of predictions against references, as numbers between 0 and 1.

    Args:
        references: one record a sentence.
        predictions: one record a sentence, in the same order.
        symmetric_relations: relation types whose direction has no meaning: head and tail are put into the order of the
            sentence on both sides.
        without_overlapping: leave out entities that overlap another of their own side, and relations whose two
            entities overlap, from references and predictions each.

    Returns:
        `{ner|rel_boundary|rel_strict}_{micro|macro}_{precision|recall|f1}`, and under
        `{ner|rel_boundary|rel_strict}_per_type` for each type its `precision`, `recall`, `f1` and `support`.

    Raises:
        ValueError: the two sides differ in length.

    >>> reference = {"entities": [{"type": "Person", "start": 0, "end": 2}, {"type": "Place", "start": 4, "end": 5}],
    ...              "relations": [{"type": "lives_in", "head": 0, "tail": 1}]}
    >>> prediction = {"entities": [{"type": "Person", "start": 0, "end": 2}, {"type": "Person", "start": 4, "end": 5}],
    ...               "relations": [{"type": "lives_in", "head": 0, "tail": 1}]}
    >>> scores = compute_scores([reference], [prediction])
    >>> [scores[f"{task}_micro_f1"] for task in TASKS]
    [0.5, 1.0, 0.0]
    """
    counts = {task: _Counts() for task in TASKS}
    for expected, found in _things_of_both(references, predictions, symmetric_relations, without_overlapping):
        for task in TASKS:
            counts[task].add(expected[task], found[task])
    scores: dict[str, Any] = {}
    for task, counted in counts.items():
        correct, found_by_type, expected_by_type = counted.correct, counted.found, counted.expected
        per_type = {
            kind: _precision_recall_f1(correct[kind], found_by_type[kind], expected_by_type[kind])
            | {"support": expected_by_type[kind]}
            for kind in sorted(expected_by_type.keys() | found_by_type.keys())
        }
        micro = _precision_recall_f1(correct.total(), found_by_type.total(), expected_by_type.total())
        for name, value in micro.items():
            scores[f"{task}_micro_{name}"] = value
        for name in micro:
            scores[f"{task}_macro_{name}"] = (
                sum(values[name] for values in per_type.values()) / len(per_type) if per_type else 0.0
            )
        scores[f"{task}_per_type"] = per_type
    return scores


def count_by_sentence(
    references: Sequence[Record],
    predictions: Sequence[Record],
    *,
    symmetric_relations: Iterable[str] = (),
    without_overlapping: bool = False,
) -> list[dict[str, dict[str, tuple[int, int, int]]]]:
    """What `compute_scores` counts, one sentence at a time.

    Args:
        references, predictions, symmetric_relations, without_overlapping: as for `compute_scores`.

    Returns:
        For each sentence, each task and each type that occurs in it: how many things are correct, how many are found,
        and how many are expected.

    Raises:
        ValueError: as for `compute_scores`.
    """
    sentences = []
    for expected, found in _things_of_both(references, predictions, symmetric_relations, without_overlapping):
        sentences.append(
            {
                task: {
                    kind: (
                        len(expected[task].get(kind, set()) & found[task].get(kind, set())),
                        len(found[task].get(kind, ())),
                        len(expected[task].get(kind, ())),
                    )
                    for kind in expected[task].keys() | found[task].keys()
                }
                for task in TASKS
            }
        )
    return sentences


def check_same_tokens(
    references: Sequence[Record], predictions: Sequence[Record], references_name: str, predictions_name: str
) -> None:
    """Refuse to compare predictions with references of other sentences.

    Raises:
        ValueError: the number of records, or the `tokens` of a record, differ; the message names files and record.
    """
    if len(references) != len(predictions):
        raise ValueError(
            f"{predictions_name}: expected one record for each of the {len(references)} of {references_name}, got "
            f"{len(predictions)}."
        )
    for number, (reference, prediction) in enumerate(zip(references, predictions)):
        if list(reference["tokens"]) != list(prediction["tokens"]):
            raise ValueError(
                f"{predictions_name}, record {number}, field 'tokens': expected the words of {references_name}, "
                f"{' '.join(reference['tokens'])!r}, got {' '.join(prediction['tokens'])!r}. Records stand in the same "
                f"order in both files."
            )


_Entity = tuple[int, int, str]
"""Start, end and type."""

_Ids = dict[Hashable, int]
"""A number for each span and each typed span of a sentence, the same in reference and prediction."""

_Things = dict[str, dict[str, set[Hashable]]]
"""For each task and each type the distinct things that are counted."""


class _Counts:
    """How many things of each type are expected, found, and both."""

    def __init__(self) -> None:
        self.expected: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.correct: Counter[str] = Counter()

    def add(self, expected: Mapping[str, set[Hashable]], found: Mapping[str, set[Hashable]]) -> None:
        """Count the things of one sentence."""
        for kind, things in expected.items():
            self.expected[kind] += len(things)
            self.correct[kind] += len(things & found.get(kind, set()))
        for kind, things in found.items():
            self.found[kind] += len(things)


def _things_of_both(
    references: Sequence[Record],
    predictions: Sequence[Record],
    symmetric_relations: Iterable[str],
    without_overlapping: bool,
) -> Iterator[tuple[_Things, _Things]]:
    """For each sentence the things that are expected and those that are found."""
    if len(references) != len(predictions):
        raise ValueError(
            f"compute_scores: expected one prediction for each reference, got {len(references)} references and "
            f"{len(predictions)} predictions."
        )
    symmetric = frozenset(symmetric_relations)
    for reference, prediction in zip(references, predictions):
        ids: _Ids = {}
        yield (
            _things(reference, symmetric, without_overlapping, ids),
            _things(prediction, symmetric, without_overlapping, ids),
        )


def _things(record: Record, symmetric: frozenset[str], without_overlapping: bool, ids: _Ids) -> _Things:
    """What a record adds to each task. The time is linear in relations, and in entities up to sorting them."""
    entities = [(entity["start"], entity["end"], entity["type"]) for entity in record["entities"]]
    counted = set(entities)
    if without_overlapping:
        counted -= _overlapping(counted)
    ner: dict[str, set[Hashable]] = {}
    for start, end, kind in counted:
        ner.setdefault(kind, set()).add((start, end))

    # An untrained model finds tens of thousands of relations in a sentence: each costs two small tuples, no spans.
    spans = [ids.setdefault(entity[:2], len(ids)) for entity in entities]
    typed_spans = [ids.setdefault(entity, len(ids)) for entity in entities]
    boundary: dict[str, set[Hashable]] = {}
    strict: dict[str, set[Hashable]] = {}
    for relation in record["relations"]:
        kind, head, tail = relation["type"], relation["head"], relation["tail"]
        if kind in symmetric and entities[tail][0] < entities[head][0]:
            head, tail = tail, head
        if without_overlapping and _overlap(entities[head], entities[tail]):
            continue
        if kind not in boundary:
            boundary[kind], strict[kind] = set(), set()
        boundary[kind].add((spans[head], spans[tail]))
        strict[kind].add((typed_spans[head], typed_spans[tail]))
    return {"ner": ner, "rel_boundary": boundary, "rel_strict": strict}


def _overlapping(entities: Iterable[_Entity]) -> set[_Entity]:
    """Those of distinct entities that overlap another one."""
    in_order = sorted(entities)
    overlapping = set()
    furthest_end = None
    for entity, following in zip(in_order, [*in_order[1:], None]):
        start, end, _ = entity
        before = furthest_end is not None and start < furthest_end
        if before or (following is not None and following[0] < end):
            overlapping.add(entity)
        furthest_end = end if furthest_end is None else max(furthest_end, end)
    return overlapping


def _overlap(first: _Entity, second: _Entity) -> bool:
    return first[0] < second[1] and second[0] < first[1]


def _precision_recall_f1(correct: int, found: int, expected: int) -> dict[str, float]:
    precision = correct / found if found else 0.0
    recall = correct / expected if expected else 0.0
    total = precision + recall
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / total if total else 0.0}
