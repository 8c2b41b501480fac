"""Cut a corpus into splits: whole documents, the same on every machine, with each type in proportion."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Label = tuple[str, str]
"""What is put into proportion: ("records", ""), ("entities", type) or ("relations", type)."""

RECORDS: Label = ("records", "")


def partition(
    records: Sequence[Mapping[str, Any]], shares: Mapping[str, float], seed: int = 42
) -> dict[str, list[dict[str, Any]]]:
    """Records in splits; each split keeps their order.

    What an `id` holds before its last `/` is the document (SciERC's abstract, the text that was split into sentences);
    an `id` without one is a document of its own. Records of one document, and records of the same words, go into one
    split. The rarest type comes first: each document that holds it goes where most of it is missing (iterative
    stratification, Sechidis et al. 2011).

    Args:
        records: checked records.
        shares: split to its share of the records; the shares add up to 1.
        seed: decides the order of the documents.

    Raises:
        ValueError: the shares do not add up, or there are too few documents for the splits.
    """
    if any(share < 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"partition: expected shares that add up to 1, got {dict(shares)}.")
    wanted = {split: share for split, share in shares.items() if share > 0}
    documents = _documents(records)
    random.Random(seed).shuffle(documents)
    labels = [count_labels(records[index] for index in document) for document in documents]
    missing = {split: Counter[Label]() for split in wanted}
    for label, count in sum(labels, Counter[Label]()).items():
        for split, share in wanted.items():
            missing[split][label] = share * count  # type: ignore[assignment]  # a Counter holds any number
    placed: dict[int, str] = {}
    while len(placed) < len(documents):
        left = [number for number in range(len(documents)) if number not in placed]
        counts = sum((labels[number] for number in left), Counter[Label]())
        rarest = min(counts, key=lambda label: (label == RECORDS, counts[label], label))
        for number in left:
            if rarest in labels[number]:
                # Where several miss as much of it, the one that misses most records takes the document.
                split = max(wanted, key=lambda name: (missing[name][rarest], missing[name][RECORDS]))
                placed[number] = split
                missing[split].subtract(labels[number])
    splits: dict[str, list[int]] = {split: [] for split in wanted}
    for number, split in placed.items():
        splits[split].extend(documents[number])
    empty = [split for split, indices in splits.items() if not indices]
    if empty:
        raise ValueError(
            f"partition: expected documents enough for {len(wanted)} splits, got {len(documents)}, and none for "
            f"{', '.join(empty)}. Make its share larger, or leave it out."
        )
    return {split: [dict(records[index]) for index in sorted(indices)] for split, indices in splits.items()}


def count_labels(records: Iterable[Mapping[str, Any]]) -> Counter[Label]:
    """How many records, and entities and relations of each type, there are."""
    counts: Counter[Label] = Counter()
    for record in records:
        counts[RECORDS] += 1
        for kind in ("entities", "relations"):
            counts.update((kind, one["type"]) for one in record[kind])
    return counts


def _documents(records: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """The indices of the records that stay together."""
    keys: dict[Any, int] = {}
    groups: dict[int, list[int]] = defaultdict(list)
    group_of: list[int] = []
    for index, record in enumerate(records):
        name = str(record["id"])
        own = [("document", name.rpartition("/")[0] if "/" in name else name), ("words", tuple(record["tokens"]))]
        found = {group_of[keys[key]] for key in own if key in keys}
        group = min(found, default=index)
        group_of.append(group)
        groups[group].append(index)
        for other in found - {group}:  # what was apart turns out to belong together
            for moved in groups.pop(other):
                group_of[moved] = group
                groups[group].append(moved)
        for key in own:
            keys.setdefault(key, index)
    return [sorted(indices) for _, indices in sorted(groups.items())]
