"""Which words of a document stand before and after each of its sentences, where a corpus's records know their document.

A record knows its document by an `id` of the form `DOCUMENT/POSITION`, as those of SciERC have it. Its neighbours are
the records of the same document at the positions next to its own: a position that is missing ends the context.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

CONTEXT_FIELDS = ("context_before", "context_after")
"""The fields of a record that hold the words before and after its own, in the order of the text."""


def with_context(records: Sequence[Mapping[str, Any]], context_words: int) -> list[dict[str, Any]]:
    """Records with the words that stand before and after each of them.

    A record that has one of `CONTEXT_FIELDS` already says by itself what its context is, and stays as it is.

    >>> records = [
    ...     {"id": "doc/0", "tokens": ["Ada", "came", "."]},
    ...     {"id": "doc/1", "tokens": ["She", "left", "."]},
    ...     {"id": "other/2", "tokens": ["Oslo"]},
    ... ]
    >>> [(record["context_before"], record["context_after"]) for record in with_context(records, 2)]
    [([], ['She', 'left']), (['came', '.'], []), ([], [])]

    Args:
        records: of one split, in any order, with `tokens` and `id`.
        context_words: the most words on each side; with 0 the records stay as they are.

    Raises:
        ValueError: two records of a document have one position.
    """
    if context_words == 0:
        return [dict(record) for record in records]
    places: dict[tuple[str, int], int] = {}
    for index, record in enumerate(records):
        place = _place_of(record)
        if place is None:
            continue
        if place in places:
            raise ValueError(
                f"record {index} (id {record['id']!r}): expected each sentence of a document once, got the id of "
                f"record {places[place]} again. Its neighbours, which are read as context, are not known."
            )
        places[place] = index
    return [
        dict(record)
        if any(record.get(field) is not None for field in CONTEXT_FIELDS)
        else {
            **record,
            "context_before": list(_words_beside(records, places, _place_of(record), -1, context_words))[::-1],
            "context_after": list(_words_beside(records, places, _place_of(record), 1, context_words)),
        }
        for record in records
    ]


def context_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record that hold its context, where it has any."""
    return {field: record[field] for field in CONTEXT_FIELDS if record.get(field) is not None}


def _place_of(record: Mapping[str, Any]) -> tuple[str, int] | None:
    """A record's document and its position there; `None` where its `id` does not say."""
    document, _, position = str(record.get("id") or "").rpartition("/")
    return (document, int(position)) if document and position.isascii() and position.isdecimal() else None


def _words_beside(
    records: Sequence[Mapping[str, Any]],
    places: Mapping[tuple[str, int], int],
    place: tuple[str, int] | None,
    step: int,
    number: int,
) -> Iterator[str]:
    """The words before (`step` -1) or after (1) a record, the nearest one first."""
    if place is None:
        return
    document, position = place
    while number > 0 and (index := places.get((document, position := position + step))) is not None:
        words = records[index]["tokens"]
        yield from words[::step][:number]
        number -= len(words)
