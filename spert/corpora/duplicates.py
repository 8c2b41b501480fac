"""Entities that an annotation holds twice: one entity, wherever a corpus is read."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset, DatasetDict

from ..collating_spert import distinct_entities

_MARK = "spert-merged-entities: "


def merge_duplicate_entities(records: Sequence[Mapping[str, Any]], file: str) -> tuple[list[Mapping[str, Any]], int]:
    """Make entities of the same span and type one entity, which takes the relations of all of them.

    Relations that become equal by that are one relation.

    Args:
        records: checked records. They are not changed.
        file: named in errors.

    Returns:
        The records, and the number of entities that were merged into another one.

    Raises:
        ValueError: a relation joins an entity to its duplicate.
    """
    merged: list[Mapping[str, Any]] = []
    count = 0
    for number, record in enumerate(records):
        indices, kept = distinct_entities(record["entities"])
        if len(kept) < len(indices):
            count += len(indices) - len(kept)
            record = {
                **record,
                "entities": [record["entities"][index] for index in kept],
                "relations": _moved(record["relations"], indices, f"{file}, record {number}"),
            }
        merged.append(record)
    return merged, count


def _moved(relations: Sequence[Mapping[str, Any]], indices: Sequence[int], where: str) -> list[dict[str, Any]]:
    moved = []
    for number, relation in enumerate(relations):
        head, tail = relation["head"], relation["tail"]
        if indices[head] == indices[tail]:
            raise ValueError(
                f"{where}, field 'relations', entry {number}: expected a relation between two entities, got the "
                f"entities {head} and {tail}, which have the same span and type. Take out one of them, or the relation."
            )
        moved.append((relation["type"], indices[head], indices[tail]))
    return [{"type": kind, "head": head, "tail": tail} for kind, head, tail in dict.fromkeys(moved)]


def with_merged_entities(text: str, count: int) -> str:
    """A dataset's description with a line that says how many entities were merged, if any were."""
    return f"{text}\n\n{_MARK}{count}" if count else text


def merged_entities(corpus: Dataset | DatasetDict) -> int:
    """How many entities of a corpus were merged into another of the same span and type when it was read."""
    splits = corpus.values() if isinstance(corpus, dict) else [corpus]
    lines = [line for split in splits for line in (split.info.description or "").split("\n")]
    return sum(int(line.removeprefix(_MARK)) for line in lines if line.startswith(_MARK))
