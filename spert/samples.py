"""Texts to try a model on: those of a file, or of what stands in the model's folder."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

NUMBER = 6
"""Texts that a page offers."""

MAX_CHARACTERS = 2_000
_WORDS = range(8, 41)
_QUOTED_OR_BRACKETED = re.compile(r"[`\"]|''|-[LR][RSC]B-")


def samples_of_file(path: str | os.PathLike[str]) -> list[str]:
    """The first texts of a file that `spert predict` reads (`.txt`, `.json`, `.jsonl`, `.parquet`).

    Texts of more than `MAX_CHARACTERS` characters and empty ones are passed over.

    Raises:
        ValueError: the file cannot be read, or holds no such text.
    """
    from .extraction.sources import open_source

    samples: list[str] = []
    for entry in open_source(str(path)).read(lambda number: True):
        value = entry.value
        if isinstance(value, Mapping):
            value = value.get("text") or value.get("tokens")
        text = readable(value) if isinstance(value, list) and all(isinstance(word, str) for word in value) else value
        if isinstance(text, str) and text.strip() and len(text) <= MAX_CHARACTERS and text not in samples:
            samples.append(text)
        if len(samples) == NUMBER:
            break
    if not samples:
        raise ValueError(f"{path}: expected texts of up to {MAX_CHARACTERS:,} characters, got none.")
    return samples


def samples_of_model(folder: str | os.PathLike[str]) -> list[str]:
    """Sentences of the corpus in which a model found something: each shows types that those before it do not.

    They are read from the `predictions.json` that training leaves in the folder, or else from the model's card. A
    folder with neither has none.
    """
    path = Path(folder, "predictions.json")
    try:
        records = json.loads(path.read_bytes()) if path.is_file() else []
    except ValueError:  # these are not needed, and what is wrong with the file is for others to say
        records = []
    return list(_varied(records)) or sample_of_card(folder)


def sample_of_card(folder: str | os.PathLike[str]) -> list[str]:
    """The sentence with which a model's card shows how it is used, as a list of one, or of none."""
    path = Path(folder, "README.md")
    if not path.is_file():
        return []
    found = re.search(r'^result = extract\(("(?:[^"\\\n]|\\.)*")\)$', path.read_text(encoding="utf-8"), re.MULTILINE)
    try:
        return [readable(json.loads(found[1]).split())] if found else []
    except ValueError:
        return []


def readable(words: Sequence[str]) -> str:
    """Words of a corpus as running text.

    >>> readable(["Ada", "(", "of", "Oslo", ")", "joined", "Park", "'s", "Labs", "."])
    "Ada (of Oslo) joined Park's Labs."
    """
    text = re.sub(r" ([.,;:!?%)\]}]|(?:'s|n't|'re|'ve|'ll|'d)(?= |$))", r"\1", " ".join(words))
    return re.sub(r"([(\[{$]) ", r"\1", text)


def _varied(records: Any) -> Iterator[str]:
    """Readable sentences, those with relations and with many types that were not shown yet first."""
    waiting = [record for record in records if _is_sample(record)] if isinstance(records, list) else []
    shown: set[str] = set()
    for _ in range(NUMBER):
        if not waiting:
            return
        best = max(waiting, key=lambda record: (len(_types(record) - shown), len(record["relations"]) in range(1, 5)))
        waiting.remove(best)
        shown |= _types(best)
        yield readable(best["tokens"])


def _is_sample(record: Any) -> bool:
    try:
        text = " ".join(record["tokens"])
        is_short = len(record["tokens"]) in _WORDS and len(record["entities"]) in range(1, 9)
        return is_short and bool(_types(record)) and not _QUOTED_OR_BRACKETED.search(text)
    except (AttributeError, KeyError, TypeError):
        return False


def _types(record: Mapping[str, Any]) -> set[str]:
    return {f"{field} {item['type']}" for field in ("entities", "relations") for item in record[field]}
