"""Counts of a corpus, as the Markdown tables of its card."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from datasets import Dataset

from ..markdown import plain
from .duplicates import merged_entities
from .types import CorpusTypes


def overlapping(entities: Iterable[Mapping[str, Any]]) -> bool:
    """Whether two entities of a sentence share a word."""
    spans = sorted((entity["start"], entity["end"]) for entity in entities)
    return any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))


def statistics_of(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of one split: sentences, entities, relations, each type, widest entity, longest sentence, overlaps."""
    counts: Counter[str] = Counter()
    entities: Counter[str] = Counter()
    relations: Counter[str] = Counter()
    widest = longest = 0
    for record in records:
        counts["sentences"] += 1
        counts["without entities"] += not record["entities"]
        counts["overlapping"] += overlapping(record["entities"])
        entities.update(entity["type"] for entity in record["entities"])
        relations.update(relation["type"] for relation in record["relations"])
        longest = max(longest, len(record["tokens"]))
        widest = max([widest, *(entity["end"] - entity["start"] for entity in record["entities"])])
    return {
        "sentences": counts["sentences"],
        "entities": entities.total(),
        "relations": relations.total(),
        "widest entity (words)": widest,
        "longest sentence (words)": longest,
        "sentences without entities": counts["without entities"],
        "sentences with overlapping entities": counts["overlapping"],
        "entity types": entities,
        "relation types": relations,
    }


def fingerprint_of(records: Iterable[Mapping[str, Any]]) -> str:
    """The SHA-256 of a split's records, the same wherever they were read from."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps(record, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def markdown_of(splits: Mapping[str, Iterable[Mapping[str, Any]]], types: CorpusTypes) -> str:
    """The counts of all splits as Markdown tables: totals, and types in classifier order.

    A row for duplicate entities stands there only if some were merged when the corpus was read.
    """
    found = {name: statistics_of(records) for name, records in splits.items()}
    merged = {name: merged_entities(rows) for name, rows in splits.items() if isinstance(rows, Dataset)}
    if any(merged.values()):
        for name, counts in found.items():
            counts["duplicate entities, merged"] = merged.get(name, 0)
    header = f"| | {' | '.join(map(plain, found))} |\n|---|{'---|' * len(found)}\n"
    totals = [name for name in next(iter(found.values())) if not name.endswith(" types")]
    rows = [f"| {name} | {' | '.join(str(counts[name]) for counts in found.values())} |" for name in totals]
    lines = [header + "\n".join(rows)]
    for field, names in (("entity types", types.entities), ("relation types", types.relations)):
        rows = [
            f"| {plain(name)}{' (symmetric)' if name in types.symmetric_relations else ''} | "
            f"{' | '.join(str(counts[field][name]) for counts in found.values())} |"
            for name in names
        ]
        if rows:
            lines.append(header.replace("| |", f"| {field} |", 1) + "\n".join(rows))
    return "\n\n".join(lines)
