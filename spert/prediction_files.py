"""What `spert predict` reads and writes: SpERT JSON (`.json`) and JSON Lines (`.jsonl`), by the file's ending."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .corpora.spert_json import read_list, write_spert_json
from .files import atomic_writer, read_json_lines
from .prediction import as_spert_json

ENDINGS = (".json", ".jsonl")


def check_ending(path: str | os.PathLike[str]) -> str:
    """The ending of a file, `.json` or `.jsonl`. *Raises* `ValueError` for any other."""
    ending = Path(path).suffix
    if ending not in ENDINGS:
        raise ValueError(f"{path}: expected a file that ends in .json (SpERT JSON) or .jsonl (JSON Lines).")
    return ending


def read_sentences(path: str | os.PathLike[str]) -> tuple[list[str | list[str]], list[Any]]:
    """The sentences of a file, and for each its `orig_id` or `id`, or none. Annotations are passed over.

    SpERT JSON: a list of records with `tokens`, of lists of words, or of texts. JSON Lines: a record with `tokens` or
    `text`, a list of words or a text a line.

    Raises:
        ValueError: an entry has another form; the message names file, record and field.
    """
    entries = read_list(path) if check_ending(path) == ".json" else [value for _, value in read_json_lines(path)]
    sentences = [_sentence(entry, f"{path}, record {number}") for number, entry in enumerate(entries)]
    ids = [entry.get("orig_id", entry.get("id")) if isinstance(entry, dict) else None for entry in entries]
    return sentences, ids


def write_results(path: str | os.PathLike[str], results: Sequence[dict[str, Any]], ids: Sequence[Any]) -> None:
    """Write what was found in each sentence, whole or not at all.

    Args:
        results: as `predict` returns them.
        ids: becomes `orig_id` in SpERT JSON, where there is one.
    """
    if check_ending(path) == ".json":
        write_spert_json(path, as_spert_json(results, ids))
        return
    with atomic_writer(path) as file:
        for result in results:
            file.write(json.dumps(result, ensure_ascii=False) + "\n")


def _sentence(entry: Any, where: str) -> str | list[str]:
    field = ""
    if isinstance(entry, dict):
        name = next((name for name in ("tokens", "text") if name in entry), None)
        if name is None:
            raise ValueError(f"{where}: expected a field 'tokens' or 'text', got only {sorted(entry)}.")
        field, entry = f", field '{name}'", entry[name]
    if isinstance(entry, str):
        return entry
    if isinstance(entry, list) and all(isinstance(word, str) for word in entry):
        return entry
    raise ValueError(f"{where}{field}: expected a text or a list of words, got {entry!r}.")
