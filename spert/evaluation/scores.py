"""Strict entity and relation scores, as the paper and its original implementation compute them.

* `ner`: span and entity type right.
* `rel_boundary`: relation type and both spans right.
* `rel_strict`: both entity types right as well.

Within a sentence a thing counts once. Macro averages run over the types that occur in references or predictions. A
score whose denominator is zero is 0.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]
"""Word-level annotations: `{"entities": [{type, start, end}], "relations": [{type, head, tail}]}`."""

TASKS = ("ner", "rel_boundary", "rel_strict")
AVERAGES = ("micro", "macro")
FIGURES = ("precision", "recall", "f1")
PRIMARY_SCORE = "rel_strict_micro_f1"
"""The number by which models are compared."""


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
    if len(references) != len(predictions):
        raise ValueError(
            f"compute_scores: expected one prediction for each reference, got {len(references)} references and "
            f"{len(predictions)} predictions."
        )
    symmetric = frozenset(symmetric_relations)
    counted: dict[str, Callable[[Record], set[tuple[str, Hashable]]]] = {
        "ner": lambda record: _entities(record, without_overlapping),
        "rel_boundary": lambda record: _relations(record, symmetric, without_overlapping, with_types=False),
        "rel_strict": lambda record: _relations(record, symmetric, without_overlapping, with_types=True),
    }
    scores: dict[str, Any] = {}
    for task, things in counted.items():
        correct: Counter[str] = Counter()
        expected: Counter[str] = Counter()
        found: Counter[str] = Counter()
        for reference, prediction in zip(references, predictions):
            of_reference, of_prediction = things(reference), things(prediction)
            expected.update(kind for kind, _ in of_reference)
            found.update(kind for kind, _ in of_prediction)
            correct.update(kind for kind, _ in of_reference & of_prediction)
        per_type = {
            kind: _precision_recall_f1(correct[kind], found[kind], expected[kind]) | {"support": expected[kind]}
            for kind in sorted(expected.keys() | found.keys())
        }
        micro = _precision_recall_f1(correct.total(), found.total(), expected.total())
        for name, value in micro.items():
            scores[f"{task}_micro_{name}"] = value
        for name in micro:
            scores[f"{task}_macro_{name}"] = (
                sum(values[name] for values in per_type.values()) / len(per_type) if per_type else 0.0
            )
        scores[f"{task}_per_type"] = per_type
    return scores


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


def _entities(record: Record, without_overlapping: bool) -> set[tuple[str, Hashable]]:
    entities = {(entity["type"], (entity["start"], entity["end"])) for entity in record["entities"]}
    if not without_overlapping:
        return set(entities)
    return {one for one in entities if not any(one != other and _overlap(one[1], other[1]) for other in entities)}


def _relations(
    record: Record, symmetric: frozenset[str], without_overlapping: bool, with_types: bool
) -> set[tuple[str, Hashable]]:
    relations: set[tuple[str, Hashable]] = set()
    for relation in record["relations"]:
        head, tail = record["entities"][relation["head"]], record["entities"][relation["tail"]]
        if relation["type"] in symmetric and tail["start"] < head["start"]:
            head, tail = tail, head
        if without_overlapping and _overlap((head["start"], head["end"]), (tail["start"], tail["end"])):
            continue
        ends = tuple((end["start"], end["end"], end["type"] if with_types else None) for end in (head, tail))
        relations.add((relation["type"], ends))
    return relations


def _overlap(first: tuple[int, int], second: tuple[int, int]) -> bool:
    return first[0] < second[1] and second[0] < first[1]


def _precision_recall_f1(correct: int, found: int, expected: int) -> dict[str, float]:
    precision = correct / found if found else 0.0
    recall = correct / expected if expected else 0.0
    total = precision + recall
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / total if total else 0.0}
