"""What is wrong with annotated data, for a whole corpus and not only its first fault."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .own import ENDINGS
from .reading import Reading
from .schema import checked_record, count_unread
from .spert_json import read_list
from .types import CorpusTypes

MOST_WORDS = 99
"""Of an entity: a row of the model's width embeddings stands for each width. (Its own constant would import torch.)"""


@dataclass
class Findings:
    """What a check found.

    Args:
        errors: training would fail, or lose gold without a word.
        warnings: worth knowing; training works.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_files(
    files: Mapping[str, Path],
    types: CorpusTypes | None = None,
    *,
    max_span_width: int = 10,
    piece_counts: Any = None,
    max_pieces: int | None = None,
) -> Findings:
    """Check SpERT JSON files, one a split.

    Args:
        files: split to file.
        types: refuse other types than these.
        max_span_width: the widest span that a model would look at.
        piece_counts: maps a list of word lists to their numbers of pieces, to find sentences longer than `max_pieces`.
        max_pieces: the longest input of the encoder.
    """
    findings = Findings()
    splits: dict[str, list[dict[str, Any]]] = {}
    for split, file in files.items():
        splits[split] = []
        unread: Counter[str] = Counter()
        if file.suffix in ENDINGS:
            _read_other_format(file, types, splits[split], findings)
            continue
        try:
            entries = read_list(file)
        except ValueError as error:
            findings.errors.append(str(error))
            continue
        for number, entry in enumerate(entries):
            count_unread(entry, unread)
            try:
                record = checked_record(entry, str(file), number, types)
            except ValueError as error:
                findings.errors.append(str(error))
                continue
            splits[split].append(record | {"where": f"{file}, record {number}"})
        findings.warnings.extend(f"{file}: {count} {what}." for what, count in sorted(unread.items()))
    everything = [record for records in splits.values() for record in records]
    symmetric = types.symmetric_relations if types else ()
    for record in everything:
        _check_record(record, symmetric, findings)
    _check_scores(everything, findings)
    _check_duplicates(splits, findings)
    _check_widths(everything, max_span_width, findings)
    _check_types(splits, findings)
    if piece_counts is not None and max_pieces is not None:
        for record, pieces in zip(everything, piece_counts([record["tokens"] for record in everything])):
            if pieces > max_pieces:
                findings.errors.append(f"{record['where']}: {pieces} pieces, the encoder takes at most {max_pieces}.")
    return findings


def _read_other_format(
    file: Path, types: CorpusTypes | None, records: list[dict[str, Any]], findings: Findings
) -> None:
    """Read a file that is no SpERT JSON, with all its faults."""
    from .formats import read_records

    reading = Reading(on_error="skip")
    try:
        found = read_records(file, reading)
    except ValueError as error:
        findings.errors.append(str(error))
        return
    findings.errors.extend(reading.faults)
    findings.warnings.extend(f"{file}: {count} {what}." for what, count in sorted(reading.lost.items()) if count)
    for what, places in sorted(reading.left_out.items()):
        findings.warnings.append(f"{file}: {len(places)} {what}, left out: {'; '.join(places)}.")
    for number, record in enumerate(found):
        try:
            records.append(checked_record(record, str(file), number, types) | {"where": f"{file}, record {number}"})
        except ValueError as error:
            findings.errors.append(str(error))


def _check_record(record: Mapping[str, Any], symmetric: Sequence[str], findings: Findings) -> None:
    where, entities = record["where"], record["entities"]
    for number, entity in enumerate(entities):
        if entity["end"] - entity["start"] > MOST_WORDS:
            findings.errors.append(
                f"{where}, entity {number}: {entity['end'] - entity['start']} words, a model takes at most "
                f"{MOST_WORDS}."
            )
    for token, (start, end) in zip(record["tokens"], record.get("words", ())):
        if record["text"][start:end] != token:
            findings.warnings.append(
                f"{where}: the text has {record['text'][start:end]!r} at [{start}, {end}), the token is {token!r}."
            )
    spans: dict[tuple[int, int], set[str]] = {}
    for entity in entities:
        spans.setdefault((entity["start"], entity["end"]), set()).add(entity["type"])
    for (start, end), kinds in spans.items():
        if len(kinds) > 1:
            findings.errors.append(
                f"{where}: the words [{start}, {end}) have the types {sorted(kinds)}; the model gives a span one type."
            )
    same = Counter((entity["type"], entity["start"], entity["end"]) for entity in entities)
    for (kind, start, end), times in same.items():
        if times > 1:
            findings.warnings.append(
                f"{where}: the entity {kind} [{start}, {end}) stands {times} times; it counts once."
            )
    relations = Counter((relation["type"], relation["head"], relation["tail"]) for relation in record["relations"])
    for (kind, head, tail), times in relations.items():
        if times > 1:
            findings.warnings.append(
                f"{where}: the relation {kind} from {head} to {tail} stands {times} times; it counts once."
            )
        if kind in symmetric and head < tail and (kind, tail, head) in relations:
            findings.warnings.append(
                f"{where}: the symmetric relation {kind} of {head} and {tail} stands in both directions."
            )


def _check_scores(records: Sequence[Mapping[str, Any]], findings: Findings) -> None:
    scored = [record["where"] for record in records if any("score" in one for one in record["entities"])]
    if scored:
        findings.warnings.append(
            f"{len(scored)} records have scores, as a model's predictions do (the first: {scored[0]}): they are gold "
            f"only if a person looked at them."
        )


def _check_duplicates(splits: Mapping[str, Sequence[Mapping[str, Any]]], findings: Findings) -> None:
    seen: dict[tuple[str, ...], tuple[str, str]] = {}
    for split, records in splits.items():
        for record in records:
            key = tuple(record["tokens"])
            if key in seen:
                other, where = seen[key]
                place = "in two splits" if other != split else "twice"
                findings.warnings.append(f"{record['where']}: the sentence stands {place}, also at {where}.")
            else:
                seen[key] = (split, record["where"])


def _check_widths(records: Sequence[Mapping[str, Any]], max_span_width: int, findings: Findings) -> None:
    entities = relations = lost_entities = lost_relations = 0
    for record in records:
        wide = {
            index for index, entity in enumerate(record["entities"]) if entity["end"] - entity["start"] > max_span_width
        }
        entities += len(record["entities"])
        relations += len(record["relations"])
        lost_entities += len(wide)
        lost_relations += sum(one["head"] in wide or one["tail"] in wide for one in record["relations"])
    if lost_entities:
        findings.warnings.append(
            f"{lost_entities} of {entities} entities ({lost_entities / entities:.2%}) are wider than {max_span_width} "
            f"words: no model with that max_span_width can find them, nor {lost_relations} of {relations} relations."
        )


def _check_types(splits: Mapping[str, Sequence[Mapping[str, Any]]], findings: Findings) -> None:
    if len(splits) < 2:
        return
    for kind in ("entities", "relations"):
        used = {split: {one["type"] for record in records for one in record[kind]} for split, records in splits.items()}
        for name in sorted(set().union(*used.values())):
            holders = [split for split, names in used.items() if name in names]
            if len(holders) == 1:
                findings.warnings.append(f"{kind} of type {name!r} occur in the split {holders[0]} only.")
