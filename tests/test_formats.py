"""Annotated text in every format: there and back, without a word changed."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from spert.cli import app
from spert.corpora.documents import Document, records_of
from spert.corpora.formats import FORMATS, format_of, read_records, write_records
from spert.corpora.reading import Reading, Writing
from spert.corpora.statistics import overlapping
from spert.words_spert import split_words

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
    "prodigy": "x.jsonl",
    "spacy": "x.spacy",
    "columns": "x.bio",
    "csv": "x.csv",
    "parquet": "x.parquet",
}
OF_TEXT = [name for name in FORMATS if name != "columns"]
"""The formats that hold a text."""

quick = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


def reading(**choices):
    """Reads predictions, too: what is written is no person's by default."""
    return Reading(predictions=True, **choices)


def by_id(records):
    return sorted(records, key=lambda record: record["id"])


def there_and_back(records, name, folder, **choices):
    write_records(folder / ENDINGS[name], records, name)
    return by_id(read_records(folder / ENDINGS[name], reading(**choices), name))


@pytest.mark.parametrize("name", OF_TEXT)
def test_round_trip(name, tmp_path):
    assert there_and_back(RECORDS, name, tmp_path, words="whitespace") == RECORDS


def test_columns_carry_entities_only(tmp_path):
    plain = [RECORDS[1], {"id": "2", "tokens": ["a", "b"], "entities": [], "relations": []}]
    write_records(tmp_path / "x.bio", plain)
    assert read_records(tmp_path / "x.bio", Reading()) == plain
    with pytest.raises(ValueError, match=r"record 'a/1': expected entities only, got 2 relations"):
        write_records(tmp_path / "y.bio", RECORDS)
    with pytest.raises(ValueError, match="do not overlap"):
        write_records(tmp_path / "y.bio", [RECORDS[0] | {"relations": []}])
    assert not (tmp_path / "y.bio").exists()
    writing = Writing()
    scored = {"type": "Place", "start": 0, "end": 1, "score": 0.5}
    texts = [{"id": "x", "tokens": ["Oslo", "."], "entities": [scored], "relations": []}]
    texts = [texts[0] | {"text": "Oslo.", "words": [[0, 4], [4, 5]]}]
    write_records(tmp_path / "z.bio", texts, None, writing)
    assert {what: count for what, count in writing.lost.items() if count} == {
        "scores that columns do not hold": 1,
        "texts that columns do not hold, of which the words were written": 1,
    }


# Everything that a text can do to its offsets: line ends of both kinds, tabs, several spaces or none, emoji of several
# code points, marks that combine, writing from right to left, and scripts without spaces.
PIECES = [
    "Ada",
    "Park's",
    "Nov.",
    "e\u0301te\u0301",
    "🙂",
    "👩\u200d🚀",
    "שָׁלוֹם",
    "مرحبا",
    "東京",
    "ไทย",
    "𝒳",
    '"',
    "\\",
    "<b>",
    "(",
    ",",
]
GAPS = ["", " ", "  ", "\t", "\n", "\r\n", "\n\n \n", "\u00a0", "\u3000"]


@st.composite
def written_records(draw):
    """A record of a text, with entities (some across line ends) and relations, of which some are predictions."""
    parts = draw(st.lists(st.sampled_from(PIECES), max_size=7))
    text = draw(st.sampled_from(GAPS)) + "".join(part + draw(st.sampled_from(GAPS)) for part in parts)
    words = split_words(text)
    every = [(start, end) for start in range(len(words)) for end in range(start + 1, len(words) + 1)]
    spans = draw(st.lists(st.sampled_from(every), unique=True, max_size=3)) if every else []
    pairs = [(head, tail) for head in range(len(spans)) for tail in range(len(spans)) if head != tail]
    arrows = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=3)) if pairs else []
    scores = st.none() | st.floats(0, 1)
    entities = [(draw(st.sampled_from("PQ")), words[first][0], words[last - 1][1]) for first, last in spans]
    document = Document(
        "x",
        text,
        entities,
        [("r", head, tail) for head, tail in arrows],
        entity_scores=[draw(scores) for _ in spans],
        relation_scores=[draw(scores) for _ in arrows],
    )
    (record,) = records_of(document, Reading(), "x")
    assert record.get("text", " ".join(record["tokens"])) == text
    return record


@pytest.mark.parametrize("name", OF_TEXT)
@given(made=st.lists(written_records(), min_size=1, max_size=4))
@quick
def test_no_letter_no_offset_and_no_score_changes(name, made, tmp_path_factory):
    """What is read back is what was written, so any way through several formats and back gives the same file."""
    corpus = [record | {"id": f"r{number}"} for number, record in enumerate(made)]
    assert there_and_back(corpus, name, tmp_path_factory.mktemp("made")) == corpus


FOUND = {
    "id": "a",
    "text": "Ada  Park\r\nlives in\tOslo.\n\n🙂 שלום",
    "words": [[0, 3], [5, 9], [11, 16], [17, 19], [20, 24], [24, 25], [27, 28], [29, 33]],
    "entities": [
        {"type": "Person", "start": 0, "end": 9, "word_start": 0, "word_end": 2, "text": "Ada  Park", "score": 0.9375},
        {"type": "Place", "start": 20, "end": 24, "word_start": 4, "word_end": 5, "text": "Oslo", "score": 0.75},
        {"type": "Sign", "start": 27, "end": 33, "word_start": 6, "word_end": 8, "text": "🙂 שלום", "score": 0.5},
    ],
    "relations": [{"type": "lives_in", "head": 0, "tail": 1, "score": 0.625}],
}


@pytest.mark.parametrize("target", OF_TEXT)
def test_what_predict_writes_goes_through_any_format_and_back(target, tmp_path):
    (tmp_path / "found.jsonl").write_text(json.dumps(FOUND, ensure_ascii=False) + "\n")
    there, back = tmp_path / "there" / ENDINGS[target], tmp_path / "back.jsonl"
    for arguments in (
        [tmp_path / "found.jsonl", there, "--to-format", target],
        [there, back, "--from-format", target, "--read-predictions"],
    ):
        done = CliRunner().invoke(app, ["corpus", "convert", *map(str, arguments)])
        assert done.exit_code == 0, done.output + str(done.exception)
    assert back.read_bytes() == (tmp_path / "found.jsonl").read_bytes()


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
    command = ["corpus", "convert", str(first), str(second), "--words", "whitespace", "--read-predictions"]
    done = CliRunner().invoke(app, [*command, "--from-format", source, "--to-format", target])
    assert done.exit_code == 0, done.output
    assert by_id(read_records(second, reading(words="whitespace"), target)) == corpus


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
@quick
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
    back = by_id(read_records(path, reading(words="whitespace"), name))
    assert back == corpus


@pytest.mark.parametrize("name", ["brat", "columns"])
@pytest.mark.parametrize("token", ["", "a b", "\u3000"])
def test_words_that_white_space_cannot_keep_apart_are_refused(name, token, tmp_path):
    record = {"id": "x", "tokens": ["a", token], "entities": [], "relations": []}
    with pytest.raises(ValueError, match="record 'x', word 1: expected words without white space"):
        write_records(tmp_path / ENDINGS[name], [record], name)


@pytest.mark.parametrize("name", ["json-lines", "brat", "label-studio", "doccano", "prodigy", "csv"])
def test_words_that_are_not_in_their_text_are_refused(name, tmp_path):
    """Formats that hold a text and no words beside it would change the word."""
    record = {"id": "x", "tokens": ["-LRB-"], "entities": [], "relations": [], "text": "(", "words": [[0, 1]]}
    with pytest.raises(ValueError, match="record 'x', word 0: expected the word as it stands in the text, '\\('"):
        write_records(tmp_path / ENDINGS[name], [record], name)
    empty = {"tokens": ["a", ""], "text": "a", "words": [[0, 1], [1, 1]], "id": "x", "relations": []}
    with pytest.raises(ValueError, match=r"record 'x', entity 0 \(P\): expected words of at least one character"):
        write_records(tmp_path / ENDINGS[name], [empty | {"entities": [{"type": "P", "start": 1, "end": 2}]}], name)


def test_each_sentence_keeps_its_part_of_the_text(tmp_path):
    line = {"id": "x", "text": "Ada  Park (of Oslo). She left.", "entities": [], "relations": []}
    (tmp_path / "x.jsonl").write_text(json.dumps(line))
    first, second = read_records(tmp_path / "x.jsonl", Reading(split_sentences=True))
    assert (first["text"], second["text"]) == ("Ada  Park (of Oslo).", "She left.")
    assert second["words"] == [[0, 3], [4, 8], [8, 9]]


@pytest.mark.parametrize(("unit", "span"), [("utf-16", [6, 10]), ("graphemes", [2, 6]), ("code-points", [4, 8])])
def test_offsets_in_other_units(tmp_path, unit, span):
    """Doccano counts UTF-16 units, or graphemes in a project that says so."""
    text = "👩\u200d🚀 Oslo"
    (record,) = records_of(Document("x", text, [("Place", 4, 8)], []), Reading(), "x")
    write_records(tmp_path / "x.jsonl", [record], "doccano", Writing(offsets=unit))
    entity = json.loads((tmp_path / "x.jsonl").read_text())["entities"][0]
    assert [entity["start_offset"], entity["end_offset"]] == span
    assert read_records(tmp_path / "x.jsonl", Reading(offsets=unit), "doccano") == [record]
    if unit == "utf-16":
        assert read_records(tmp_path / "x.jsonl", Reading(), "doccano") == [record]
        moved = (tmp_path / "x.jsonl").read_text().replace('"start_offset": 6', '"start_offset": 1')
        (tmp_path / "x.jsonl").write_text(moved)
        with pytest.raises(
            ValueError, match="entry 0: expected offsets between two characters, counted in utf-16, got 1"
        ):
            read_records(tmp_path / "x.jsonl", Reading(), "doccano")


def test_graphemes_are_not_cut(tmp_path):
    record = {"id": "x", "tokens": ["e"], "entities": [{"type": "P", "start": 0, "end": 1}], "relations": []}
    record |= {"text": "e\u0301", "words": [[0, 1]]}
    with pytest.raises(ValueError, match=r"record 'x': expected a span of whole graphemes, got 'e' \[0, 1\)"):
        write_records(tmp_path / "x.jsonl", [record], "doccano", Writing(offsets="graphemes"))


def test_formats_by_ending_and_name(tmp_path):
    assert [format_of(tmp_path / file) for file in ("a.json", "a.jsonl", "a.conll", "a", "a.csv")] == [
        "spert-json",
        "json-lines",
        "columns",
        "brat",
        "csv",
    ]
    assert format_of(tmp_path / "a.json", "label-studio") == "label-studio"
    with pytest.raises(ValueError, match=r"a\.docx: expected one of the endings \.json"):
        format_of(tmp_path / "a.docx")
    with pytest.raises(ValueError, match=r"a format out of spert-json, .* got 'conll'"):
        format_of(tmp_path / "a.json", "conll")


def test_scores_are_checked(tmp_path):
    for name in ("spert-json", "json-lines"):
        record = {"tokens": ["Oslo"], "text": "Oslo", "relations": []}
        record["entities"] = [{"type": "P", "start": 0, "end": 1 if name == "spert-json" else 4, "score": 1.5}]
        content = json.dumps(
            [record] if name == "spert-json" else {key: record[key] for key in record if key != "tokens"}
        )
        (tmp_path / ENDINGS[name]).write_text(content)
        with pytest.raises(
            ValueError, match=r"'entities', entry 0, field 'score': expected a number from 0 to 1, got 1.5"
        ):
            read_records(tmp_path / ENDINGS[name], Reading(), name)
