"""F1 by a property of the sentence, of the relation or of the entity: where one setting is better than another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..evaluation.scores import Record, compute_scores

Keep = Callable[[int], bool]
"""Whether a number is in a bucket."""


@dataclass(frozen=True)
class Breakdown:
    """How scores are split up.

    Args:
        title: what the buckets are of, for axes.
        task: whose micro F1 is counted.
        starts: the least number of each bucket; the last one has no upper end.
        keep: a record with those of its things whose number is in a bucket. Equal things of gold and prediction have
            the same number, so that each is counted in one bucket.
    """

    title: str
    task: str
    starts: tuple[int, ...]
    keep: Callable[[Record, Keep], Record]

    @property
    def buckets(self) -> list[str]:
        """The buckets' names.

        >>> BREAKDOWNS["sentence_length"].buckets
        ['1-19', '20-34', '35-50', '51+']
        """
        names = []
        for start, following in zip(self.starts, (*self.starts[1:], None)):
            last = None if following is None else following - 1
            names.append(f"{start}+" if last is None else str(start) if last == start else f"{start}-{last}")
        return names


def words_between(first: Mapping[str, Any], second: Mapping[str, Any]) -> int:
    """The number of words between two entities, in either order; 0 where they touch or overlap.

    >>> words_between({"start": 6, "end": 7}, {"start": 0, "end": 2})
    4
    """
    return max(0, max(first["start"], second["start"]) - min(first["end"], second["end"]))


def break_down(
    references: Sequence[Record],
    runs: Sequence[Sequence[Record]],
    breakdown: Breakdown,
    symmetric_relations: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The micro F1 of each bucket.

    Args:
        references: gold annotations with `tokens`, one record a sentence.
        runs: the predictions of each run, in the same order.
        symmetric_relations: as for `compute_scores`.

    Returns:
        For each bucket its name, `f1` (the mean over runs; `None` in a bucket without gold things) and `support` (the
        number of gold things).
    """
    rows = []
    for name, start, following in zip(breakdown.buckets, breakdown.starts, (*breakdown.starts[1:], None)):

        def is_inside(number: int, start: int = start, following: int | None = following) -> bool:
            return number >= start and (following is None or number < following)

        gold = [breakdown.keep(record, is_inside) for record in references]
        scores = [
            compute_scores(
                gold, [breakdown.keep(record, is_inside) for record in run], symmetric_relations=symmetric_relations
            )
            for run in runs
        ]
        f1 = sum(of_run[f"{breakdown.task}_micro_f1"] for of_run in scores) / len(runs)
        support = sum(of_type["support"] for of_type in scores[0][f"{breakdown.task}_per_type"].values())
        rows.append({"bucket": name, "f1": f1 if support else None, "support": support})
    return rows


def _relations_by_distance(record: Record, is_inside: Keep) -> Record:
    entities = record["entities"]
    relations = [
        relation
        for relation in record["relations"]
        if is_inside(words_between(entities[relation["head"]], entities[relation["tail"]]))
    ]
    return {"entities": entities, "relations": relations}


def _sentences_by_length(record: Record, is_inside: Keep) -> Record:
    return record if is_inside(len(record["tokens"])) else {"entities": [], "relations": []}


def _entities_by_width(record: Record, is_inside: Keep) -> Record:
    kept = [entity for entity in record["entities"] if is_inside(entity["end"] - entity["start"])]
    return {"entities": kept, "relations": []}


BREAKDOWNS = {
    "distance": Breakdown("words between the entities", "rel_strict", (0, 1, 3, 6, 11, 21), _relations_by_distance),
    "sentence_length": Breakdown("words of the sentence", "rel_strict", (1, 20, 35, 51), _sentences_by_length),
    "entity_width": Breakdown("words of the entity", "ner", (1, 2, 3, 4, 6, 11), _entities_by_width),
}
"""What a recipe's `break_down_by` may name."""
