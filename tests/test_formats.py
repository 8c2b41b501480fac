"""Annotated text as other tools write it, and every way to it and back."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from spert.cli import app
from spert.corpora.formats import FORMATS, format_of, read_records, write_records
from spert.corpora.reading import Reading
from spert.corpora.statistics import overlapping

RECORDS = [
    {
        "id": "a/1",
        "tokens": ["Ada", "Park", ",", "of", "Lisbon", "School", ",", "Oslo", "."],
        "entities": [
            {"type": "Person", "start": 0, "end": 2},
            {"type": "Organization", "start": 4, "end": 6},
            {"type": "Place", "start": 4, "end": 5},
        ],
        "relations": [{"type": "works_for", "head": 0, "tail": 1}, {"type": "knows", "head": 1, "tail": 0}],
    },
    {"id": "b", "tokens": ["Zürich", "🙂"], "entities": [{"type": "Place", "start": 0, "end": 1}], "relations": []},
]
ENDINGS = {
    "spert-json": "x.json",
    "json-lines": "x.jsonl",
    "brat": "x",
    "label-studio": "x.json",
    "doccano": "x.jsonl",
    "spacy": "x.spacy",
    "columns": "x.bio",
    "parquet": "x.parquet",
}
BY_WHITE_SPACE = Reading(words="whitespace")


def by_id(records):
    return sorted(records, key=lambda record: record["id"])


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "columns"])
def test_round_trip(name, tmp_path):
    write_records(tmp_path / ENDINGS[name], RECORDS, name)
    assert by_id(read_records(tmp_path / ENDINGS[name], BY_WHITE_SPACE, name)) == RECORDS


def test_columns_carry_entities_only(tmp_path):
    plain = [RECORDS[1], {"id": "2", "tokens": ["a", "b"], "entities": [], "relations": []}]
    write_records(tmp_path / "x.bio", plain)
    assert read_records(tmp_path / "x.bio", Reading()) == plain
    with pytest.raises(ValueError, match=r"record 'a/1': expected entities only, got 2 relations"):
        write_records(tmp_path / "y.bio", RECORDS)
    with pytest.raises(ValueError, match="do not overlap"):
        write_records(tmp_path / "y.bio", [RECORDS[0] | {"relations": []}])
    assert not (tmp_path / "y.bio").exists()


PLAIN = [record | {"relations": []} for record in RECORDS[1:]]


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_between_any_two_formats(source, target, tmp_path):
    """What both formats can carry arrives; columns number sentences anew and carry entities only."""
    corpus = PLAIN if "columns" in (source, target) else RECORDS
    if "columns" in (source, target):
        corpus = [record | {"id": str(number + 1)} for number, record in enumerate(corpus)]
    first, second = tmp_path / "from" / ENDINGS[source], tmp_path / "to" / ENDINGS[target]
    first.parent.mkdir()
    write_records(first, corpus, source)
    command = ["corpus", "convert", str(first), str(second), "--words", "whitespace"]
    done = CliRunner().invoke(app, [*command, "--from-format", source, "--to-format", target])
    assert done.exit_code == 0, done.output
    assert by_id(read_records(second, BY_WHITE_SPACE, target)) == corpus


words = st.text(alphabet="abÄ東,.'-🙂", min_size=1, max_size=4)


@st.composite
def records(draw):
    tokens = draw(st.lists(words, min_size=1, max_size=7))
    every = [(start, end) for start in range(len(tokens)) for end in range(start + 1, len(tokens) + 1)]
    spans = draw(st.lists(st.sampled_from(every), unique=True, max_size=3))
    entities = [{"type": draw(st.sampled_from("PQ")), "start": start, "end": end} for start, end in spans]
    pairs = [(head, tail) for head in range(len(spans)) for tail in range(len(spans)) if head != tail]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=3)) if pairs else []
    return {
        "tokens": tokens,
        "entities": entities,
        "relations": [{"type": "r", "head": head, "tail": tail} for head, tail in chosen],
    }


@pytest.mark.parametrize("name", FORMATS)
@given(made=st.lists(records(), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_corpus_survives_or_is_refused(name, made, tmp_path_factory):
    corpus = [record | {"id": f"r{number}"} for number, record in enumerate(made)]
    path = tmp_path_factory.mktemp("made") / ENDINGS[name]
    if name == "columns" and any(record["relations"] or overlapping(record["entities"]) for record in corpus):
        with pytest.raises(ValueError, match=r"entities only|do not overlap"):
            write_records(path, corpus, name)
        return
    write_records(path, corpus, name)
    if name == "columns":  # entities come back in the order of the sentence
        corpus = [
            record | {"entities": sorted(record["entities"], key=lambda entity: entity["start"])} for record in corpus
        ]
    back = by_id(read_records(path, BY_WHITE_SPACE, name))
    assert back == corpus


@pytest.mark.parametrize("name", ["brat", "label-studio", "doccano", "columns"])
@pytest.mark.parametrize("token", ["", "a b", "\u3000"])
def test_words_that_white_space_cannot_keep_apart_are_refused(name, token, tmp_path):
    record = {"id": "x", "tokens": ["a", token], "entities": [], "relations": []}
    with pytest.raises(ValueError, match="record 'x', word 1: expected words without white space"):
        write_records(tmp_path / ENDINGS[name], [record], name)


class TestText:
    TEXT = "Ada  Park (of Oslo). She left."

    @pytest.fixture
    def record(self, tmp_path):
        line = {"id": "x", "text": self.TEXT, "entities": [{"type": "Person", "start": 0, "end": 9}]}
        (tmp_path / "x.jsonl").write_text(json.dumps(line))
        (record,) = read_records(tmp_path / "x.jsonl", Reading())
        return record

    def test_a_text_is_kept_with_the_words_in_it(self, record):
        assert record["text"] == self.TEXT
        assert [self.TEXT[start:end] for start, end in record["words"]] == record["tokens"]
        assert record["tokens"][:4] == ["Ada", "Park", "(", "of"]

    def test_each_sentence_keeps_its_part(self, tmp_path, record):
        first, second = read_records(tmp_path / "x.jsonl", Reading(split_sentences=True))
        assert (first["text"], second["text"]) == ("Ada  Park (of Oslo).", "She left.")
        assert second["words"] == [[0, 3], [4, 8], [8, 9]]

    @pytest.mark.parametrize("name", ["spert-json", "json-lines", "spacy", "parquet"])
    def test_formats_that_hold_words_keep_it(self, tmp_path, record, name):
        corpus = [record, RECORDS[1]]
        write_records(tmp_path / "out" / ENDINGS[name], corpus, name)
        assert read_records(tmp_path / "out" / ENDINGS[name], Reading(), name) == corpus

    @pytest.mark.parametrize("name", ["brat", "label-studio", "doccano"])
    def test_formats_without_words_join_them_by_spaces(self, tmp_path, record, name):
        write_records(tmp_path / "out" / ENDINGS[name], [record], name)
        (back,) = read_records(tmp_path / "out" / ENDINGS[name], BY_WHITE_SPACE, name)
        assert back == {key: record[key] for key in ("id", "tokens", "entities", "relations")}


def test_formats_by_ending_and_name(tmp_path):
    assert [format_of(tmp_path / file) for file in ("a.json", "a.jsonl", "a.conll", "a")] == [
        "spert-json",
        "json-lines",
        "columns",
        "brat",
    ]
    assert format_of(tmp_path / "a.json", "label-studio") == "label-studio"
    with pytest.raises(ValueError, match=r"a\.docx: expected one of the endings \.json"):
        format_of(tmp_path / "a.docx")
    with pytest.raises(ValueError, match=r"a format out of spert-json, .* got 'conll'"):
        format_of(tmp_path / "a.json", "conll")
