"""Whole columns are checked as strictly as single records."""

import copy

import pytest
from datasets import Features
from hypothesis import given, settings
from hypothesis import strategies as st

from spert.corpora.columnar import checked_table
from spert.corpora.columns import FEATURES, TEXT_FEATURES
from spert.corpora.schema import checked_record
from spert.corpora.types import CorpusTypes, TypeName
from tests import tiny

TYPES = CorpusTypes(
    {name: TypeName(name, name) for name in tiny.ENTITY_TYPES},
    {name: TypeName(name, name) for name in tiny.RELATION_TYPES},
)
RECORDS = [
    *tiny.RECORDS,
    {
        "id": "e",
        "tokens": ["Oslo", "."],
        "entities": [],
        "relations": [],
        "text": "In Oslo.",
        "words": [[3, 7], [7, 8]],
    },
]
ODD = [None, True, 1, -1, 99, 1.0, "", "x", "Place", [], [1], [1, 2], {}, {"type": "Place"}, 2**70, "\ud800"]


def places(value, path=()):
    """The path to every part of a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def at(value, path):
    """The part of a JSON value at a path."""
    for key in path:
        value = value[key]
    return value


PLACES = [path for path in places(RECORDS) if path]


def outcome(task):
    """What a task returns, or the words with which it refuses."""
    try:
        return task()
    except ValueError as error:
        return str(error)


def rows_of(table):
    """The rows of a table; a text is left out where a record has none."""
    return [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]


def test_rows_are_those_of_the_records():
    table = checked_table(tiny.RECORDS, "f", TYPES)
    assert table.schema == FEATURES.arrow_schema
    expected = [checked_record(record, "f", number, TYPES) for number, record in enumerate(tiny.RECORDS)]
    assert table.to_pylist() == expected
    table = checked_table(RECORDS, "f", TYPES)
    assert table.schema == Features(FEATURES | TEXT_FEATURES).arrow_schema
    assert rows_of(table)[:-1] == expected
    assert rows_of(table)[-1] == RECORDS[-1]
    assert checked_table([], "f").num_rows == 0


@given(path=st.sampled_from(PLACES), odd=st.sampled_from(ODD), known=st.sampled_from([None, TYPES]))
@settings(max_examples=400, deadline=None)
def test_what_one_refuses_the_other_refuses_with_the_same_words(path, odd, known):
    records = copy.deepcopy(RECORDS)
    at(records, path[:-1])[path[-1]] = odd
    expected = outcome(lambda: [checked_record(record, "f", number, known) for number, record in enumerate(records)])
    assert outcome(lambda: rows_of(checked_table(records, "f", known))) == expected


@pytest.mark.parametrize("path", [path for path in PLACES if type(at(RECORDS, path)) is int])
def test_every_boundary_is_the_same_for_both(path):
    records = copy.deepcopy(RECORDS)
    for number in range(-1, 17):
        at(records, path[:-1])[path[-1]] = number
        expected = outcome(lambda: [checked_record(record, "f", index) for index, record in enumerate(records)])
        assert outcome(lambda: rows_of(checked_table(records, "f"))) == expected
