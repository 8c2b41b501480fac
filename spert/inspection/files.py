"""Predictions with scores, from files: SpERT JSON or JSON Lines as `spert predict` writes them; and saved labels."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..corpora.schema import record_at
from ..corpora.spert_json import read_list
from ..corpora.types import CorpusTypes
from ..corpora.validation import shown
from ..evaluation.scores import check_same_tokens
from ..files import read_json, read_json_lines
from .proposals import LABELS

LABELS_FORMAT = "spert inspection labels"


def read_scored_predictions(
    path: str | os.PathLike[str],
    references: Sequence[Mapping[str, Any]],
    references_name: str,
    types: CorpusTypes | None,
) -> list[dict[str, Any]]:
    """Predictions in the order of the references; entities and relations have a `score` where the file has one.

    Args:
        path: SpERT JSON, or JSON Lines if its name ends in `.jsonl`: the dictionaries of `spert predict`.
        references: the annotated sentences.
        references_name: for errors.
        types: refuse other types than these.

    Raises:
        ValueError: a record is refused, a score is no number from 0 to 1, or the sentences are others.
    """
    if Path(path).suffix == ".jsonl":
        rows = [
            (f"{path}, line {number}", _as_spert_json(line, f"{path}, line {number}"))
            for number, line in read_json_lines(path)
        ]
    else:
        rows = [(f"{path}, record {number}", row) for number, row in enumerate(read_list(path))]
    records = []
    for number, (where, row) in enumerate(rows):
        record = record_at(row, where, number, types)
        for kind in ("entities", "relations"):
            for index, (checked, given) in enumerate(zip(record[kind], row[kind])):
                score = given.get("score")
                if score is None:
                    continue
                if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
                    raise ValueError(
                        f"{where}, field '{kind}', entry {index}, field 'score': expected a number from 0 to 1, got "
                        f"{shown(score)}."
                    )
                checked["score"] = float(score)
        records.append(record)
    check_same_tokens(references, records, references_name, str(path))
    return records


def read_labels(path: str | os.PathLike[str]) -> dict[str, str]:
    """The labels that a page saved: the key of each mistake to the name of its label.

    Raises:
        ValueError: it is no such file, or a label is unknown; the message names file and field.
    """
    content = read_json(path)
    if not isinstance(content, Mapping) or content.get("format") != LABELS_FORMAT:
        raise ValueError(
            f"{path}, field 'format': expected {LABELS_FORMAT!r}, which the page writes into the files that it saves, "
            f"got {shown(content.get('format') if isinstance(content, Mapping) else content)}."
        )
    rows = content.get("labels")
    if not isinstance(rows, list):
        raise ValueError(f"{path}, field 'labels': expected a list, got {shown(rows)}.")
    labels: dict[str, str] = {}
    for index, row in enumerate(rows):
        where = f"{path}, field 'labels', entry {index}"
        if not isinstance(row, Mapping) or not isinstance(row.get("mistake"), str):
            raise ValueError(f"{where}: expected an object with a text 'mistake', got {shown(row)}.")
        if row.get("label") not in LABELS:
            raise ValueError(f"{where}, field 'label': expected one of {list(LABELS)}, got {shown(row.get('label'))}.")
        labels[row["mistake"]] = row["label"]
    return labels


def _as_spert_json(line: Any, where: str) -> dict[str, Any]:
    """A dictionary of predictions as a record whose spans count words."""
    if (
        not isinstance(line, Mapping)
        or not isinstance(line.get("text"), str)
        or not isinstance(line.get("words"), list)
    ):
        raise ValueError(f"{where}: expected an object with text, words, entities and relations, got {shown(line)}.")
    for name in ("entities", "relations"):
        rows = line.get(name)
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise ValueError(f"{where}, field '{name}': expected a list of objects, got {shown(rows)}.")
    try:
        tokens = [line["text"][start:end] for start, end in line["words"]]
    except (TypeError, ValueError):
        raise ValueError(
            f"{where}, field 'words': expected ranges of characters, [start, end), got {shown(line['words'])}."
        ) from None
    renamed = {"word_start": "start", "word_end": "end", "type": "type", "score": "score"}
    return {
        "tokens": tokens,
        "entities": [{renamed[name]: row[name] for name in renamed if name in row} for row in line["entities"]],
        "relations": list(line["relations"]),
    }
