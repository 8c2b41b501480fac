"""Annotated text as other tools write it, and every way to it and back."""

import json
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from spert.cli import app
from spert.corpora.documents import Reading
from spert.corpora.formats import FORMATS, format_of, read_records, write_records
from spert.corpora.statistics import overlapping
from tests.checkpoint_parts import full_disk

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


class TestFilesAsTheToolsWriteThem:
    def test_brat(self, tmp_path):
        (tmp_path / "doc.txt").write_text("Ada Park joined Northwind Labs.\nShe met Tom.")
        (tmp_path / "doc.ann").write_text(
            "T1\tPerson 0 8\tAda Park\nT2\tOrganization 16 30\tNorthwind Labs\nT3\tPerson 40 43\tTom\n"
            "R1\tworks_for Arg1:T1 Arg2:T2\t\n*\tknows T1 T3\nA1\tSure T1\n#1\tAnnotatorNotes T1\thm\n"
        )
        reading = Reading()
        (record,) = read_records(tmp_path, reading)
        assert record["tokens"] == ["Ada", "Park", "joined", "Northwind", "Labs", ".", "She", "met", "Tom", "."]
        assert record["entities"][1] == {"type": "Organization", "start": 3, "end": 5}
        assert [tuple(one.values()) for one in record["relations"]] == [("works_for", 0, 1), ("knows", 0, 2)]
        assert reading.lost == {"lines that are neither entity nor relation": 2}
        assert read_records(tmp_path / "doc.ann", Reading()) == [record]
        reading = Reading(split_sentences=True)
        first, second = read_records(tmp_path, reading)
        assert first["tokens"][-1] == "."
        assert second["entities"] == [{"type": "Person", "start": 2, "end": 3}]
        assert reading.lost["relations between sentences"] == 1

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("T1\tPerson 0 3;4 8\tAda Park", "line 1: expected a span in one piece, got the discontinuous"),
            ("T1\tPerson 0 8\tAda Pork", r"line 1: expected 'Ada Pork', but the text at \[0, 8\) is 'Ada Park'"),
            ("T1\tPerson 0\tAda", "line 1: expected an entity"),
            ("R1\tr Arg1:T1 Arg2:T2", "line 1: expected an entity of this file, got 'T1'"),
            ("R1\tr T1 T2", "line 1: expected a relation of two entities"),
        ],
    )
    def test_brat_refuses(self, tmp_path, line, message):
        (tmp_path / "doc.txt").write_text("Ada Park")
        (tmp_path / "doc.ann").write_text(line + "\n")
        with pytest.raises(ValueError, match=message):
            read_records(tmp_path, Reading())

    def test_label_studio_export(self, tmp_path):
        text = "Ada Park joined Northwind Labs."

        def region(name, start, end, kind):
            value = {"start": start, "end": end, "text": text[start:end], "labels": [kind]}
            return {"id": name, "from_name": "label", "to_name": "text", "type": "labels", "value": value}

        arrow = {"type": "relation", "from_id": "o", "to_id": "p", "direction": "left", "labels": ["works_for"]}
        result = [region("p", 0, 8, "Person"), arrow, region("o", 16, 30, "Organization")]
        task = {
            "id": 17,
            "data": {"text": text},
            "annotations": [{"result": [], "was_cancelled": True}, {"result": result, "was_cancelled": False}],
        }
        (tmp_path / "x.json").write_text(json.dumps([task]))
        reading = Reading()
        (record,) = read_records(tmp_path / "x.json", reading, "label-studio")
        assert record["id"] == "17"
        assert record["relations"] == [{"type": "works_for", "head": 0, "tail": 1}]
        assert reading.lost["cancelled annotations"] == 1
        task["annotations"][0]["was_cancelled"] = False
        (tmp_path / "x.json").write_text(json.dumps([task]))
        with pytest.raises(ValueError, match="task 0, field 'annotations': expected one annotation, got 2"):
            read_records(tmp_path / "x.json", Reading(), "label-studio")

    def test_doccano_export(self, tmp_path):
        line = {
            "id": 3,
            "text": "Ada Park joined Northwind Labs.",
            "entities": [
                {"id": 51, "label": "Person", "start_offset": 0, "end_offset": 8},
                {"id": 52, "label": "Organization", "start_offset": 16, "end_offset": 30},
            ],
            "relations": [{"id": 9, "from_id": 51, "to_id": 52, "type": "works_for"}],
            "Comments": ["sure?"],
        }
        (tmp_path / "x.jsonl").write_text(json.dumps(line) + "\n")
        reading = Reading()
        (record,) = read_records(tmp_path / "x.jsonl", reading, "doccano")
        assert record["relations"] == [{"type": "works_for", "head": 0, "tail": 1}]
        assert reading.lost["comments"] == 1
        (tmp_path / "x.jsonl").write_text(json.dumps(line | {"relations": [{"from_id": 1, "to_id": 2, "type": "r"}]}))
        with pytest.raises(
            ValueError, match="line 1, field 'relations', entry 0, field 'from_id': expected the id of an"
        ):
            read_records(tmp_path / "x.jsonl", Reading(), "doccano")

    def test_spacy_docs_and_a_docbin(self, tmp_path):
        spacy = pytest.importorskip("spacy")
        from spert.corpora.formats.spacy_docs import doc_of, record_of

        doc = doc_of(RECORDS[0], spacy.blank("en").vocab)
        assert [(span.text, span.label_) for span in doc.spans["entities"]][1] == ("Lisbon School", "Organization")
        assert doc._.relations == RECORDS[0]["relations"]
        assert record_of(doc) == RECORDS[0]
        with pytest.raises(ValueError, match="expected a span group 'entities'"):
            record_of(spacy.blank("en")("Ada"))

    def test_parquet_is_the_hubs_shape(self, tmp_path):
        import pyarrow.parquet

        write_records(tmp_path / "x.parquet", RECORDS)
        table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
        assert set(table.column_names) == {"entities", "tokens", "relations", "orig_id"}
        assert table["entities"].to_pylist()[1] == [{"type": "Place", "start": 0, "end": 1}]

    @pytest.mark.parametrize("tags", ["O B-A I-A B-A O", "O B-A L-A U-A O", "O B-A E-A S-A O"])
    def test_tag_schemes(self, tmp_path, tags):
        lines = [f"w{number} {tag}" for number, tag in enumerate(tags.split())]
        (tmp_path / "x.conll").write_text("-DOCSTART- O\n\n" + "\n".join(lines) + "\n\n\nv\tO")
        one, two = read_records(tmp_path / "x.conll", Reading())
        assert [(entity["start"], entity["end"]) for entity in one["entities"]] == [(1, 3), (3, 4)]
        assert (two["id"], two["tokens"]) == ("1", ["v"])

    def test_only_a_sentence_of_one_word_is_a_document_start(self, tmp_path):
        (tmp_path / "x.bio").write_text(
            "-DOCSTART- -X- -X- O\n\nthe O\n-DOCSTART- O\n\n-DOCSTART- O\nline O\n\n-DOCSTART- B-Word\n"
        )
        reading = Reading()
        read = read_records(tmp_path / "x.bio", reading)
        assert [record["tokens"] for record in read] == [["the", "-DOCSTART-"], ["-DOCSTART-", "line"], ["-DOCSTART-"]]
        assert [record["id"] for record in read] == ["0", "1", "2"]
        assert reading.lost == {"-DOCSTART- lines left out": 1}
        write_records(tmp_path / "y.bio", read)
        assert read_records(tmp_path / "y.bio", Reading()) == read
        with pytest.raises(
            ValueError, match="record '2': expected a sentence, got '-DOCSTART-', which starts a document"
        ):
            write_records(tmp_path / "y.bio", [read[2] | {"entities": []}])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a I-A", "line 1: expected the entity to begin with B-A"),
            ("a B-A\nb I-C", "line 2: expected the entity to begin with B-C"),
            ("a X-A", "expected O or a tag like B-Person"),
            ("a", "expected a word and its tag"),
        ],
    )
    def test_broken_tags_are_refused(self, tmp_path, text, message):
        (tmp_path / "x.bio").write_text(text + "\n")
        with pytest.raises(ValueError, match=message):
            read_records(tmp_path / "x.bio", Reading())


class TestCharacters:
    def line(self, tmp_path, start, end, text="Ada Parkinson's house"):
        path = tmp_path / "x.jsonl"
        path.write_text(json.dumps({"text": text, "entities": [{"type": "Person", "start": start, "end": end}]}))
        return path

    def test_a_span_that_cuts_through_a_word_is_shown_or_widened(self, tmp_path):
        with pytest.raises(
            ValueError,
            match=r"line 1, field 'entities', entry 0 \('Person'\): the span 'Ada Park' \[0, 8\) .*'Ada Parkinson'",
        ):
            read_records(self.line(tmp_path, 0, 8), Reading())
        reading = Reading(align="expand")
        (record,) = read_records(self.line(tmp_path, 0, 8), reading)
        assert record["entities"] == [{"type": "Person", "start": 0, "end": 2}]
        assert reading.lost["spans widened to whole words"] == 1

    def test_white_space_at_the_edge_is_no_fault(self, tmp_path):
        (record,) = read_records(self.line(tmp_path, 3, 13), Reading())
        assert record["entities"][0]["start"] == 1

    @pytest.mark.parametrize(
        ("start", "end", "message"), [(0, 99, "within"), (3, 3, "within"), (3, 4, "expected a word in")]
    )
    def test_spans_of_nothing_are_refused(self, tmp_path, start, end, message):
        with pytest.raises(ValueError, match=message):
            read_records(self.line(tmp_path, start, end), Reading())

    def test_no_sentence_ends_inside_an_entity(self, tmp_path):
        text = "We met Dr. Ada Park. She left."
        path = self.line(tmp_path, 7, 19, text)
        records = read_records(path, Reading(split_sentences=True))
        assert [record["tokens"][-2:] for record in records] == [["Park", "."], ["left", "."]]
        assert records[0]["entities"] == [{"type": "Person", "start": 2, "end": 6}]

    @pytest.mark.parametrize("choice", [{"align": "loose"}, {"words": "x"}])
    def test_unknown_choices_are_refused(self, choice):
        with pytest.raises(ValueError, match="expected one of"):
            Reading(**choice)


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


class TestOddFiles:
    """What other programs may write, and what must not become a corpus in silence."""

    LINE = {
        "text": "Ada Park met Tom",
        "words": [[0, 3], [4, 8], [9, 12], [13, 16]],
        "entities": [{"type": "Person", "start": 0, "end": 8, "text": "Ada Park"}],
        "relations": [],
    }

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"words": [[-4, 3]]}, r"line 1, field 'words', entry 0: expected a range of characters within \[0, 16\)"),
            ({"words": [[0, 3], [2, 8]]}, r"field 'words', entry 1: .* within \[3, 16\)"),
            ({"words": [[3, 0]]}, r"field 'words', entry 0: .* got \[3, 0\)"),
            ({"words": [[0, 99]]}, r"field 'words', entry 0: .* got \[0, 99\)"),
            ({"words": [[0, 3.0]]}, "field 'words', entry 0: expected two whole numbers"),
            ({"text": None}, "line 1, field 'text': expected a string, got None"),
            ({"text": "\ud800"}, "field 'text': expected characters, got half of a surrogate pair"),
            ({"entities": None}, "field 'entities': expected a list, got None"),
            ({"entities": ["x"]}, "field 'entities', entry 0: expected an object, got 'x'"),
            (
                {"entities": [{"type": "Person", "start": 9, "end": 12, "text": "Tom"}]},
                r"field 'entities', entry 0: expected 'Tom', but the text at \[9, 12\) is 'met'",
            ),
            (
                {"entities": [LINE["entities"][0] | {"word_start": 1}]},
                "entry 0, field 'word_start': expected the word from character 0, got 1",
            ),
            ({"entities": [{"type": "", "start": 0, "end": 3}]}, "field 'type': expected a string that is not empty"),
            ({"relations": [{"type": "r", "head": 0, "tail": 3}]}, "'relations', entry 0 .*'tail': expected one of 1"),
            ({"relations": [{"type": "r", "head": 0, "tail": 0}]}, "an entity with itself"),
            ({"id": True}, "field 'id': expected a string or a whole number, got True"),
        ],
    )
    def test_json_lines_are_checked(self, tmp_path, change, message):
        (tmp_path / "x.jsonl").write_text(json.dumps(self.LINE | change))
        with pytest.raises(ValueError, match=message) as refused:
            read_records(tmp_path / "x.jsonl", Reading())
        assert str(refused.value).startswith(f"{tmp_path / 'x.jsonl'}, line 1")

    def test_a_misspelt_field_is_no_corpus_without_annotations(self, tmp_path):
        line = {("entites" if name == "entities" else name): value for name, value in self.LINE.items()}
        (tmp_path / "x.jsonl").write_text(json.dumps(line))
        with pytest.raises(
            ValueError, match=r"line 1: expected a field 'entities', got only .*'entites' may be misspelt"
        ):
            read_records(tmp_path / "x.jsonl", Reading())
        line = {("relatoins" if name == "relations" else name): value for name, value in self.LINE.items()}
        (tmp_path / "x.jsonl").write_text(json.dumps(line) + "\n")
        reading = Reading()
        read_records(tmp_path / "x.jsonl", reading)
        assert reading.lost == {
            "fields 'relatoins' of lines not read": 1,
            "lines without the field 'relations', read as lines without relations": 1,
        }

    def test_words_that_leave_text_out_are_counted(self, tmp_path):
        line = {"text": "Ada met Tom", "words": [[0, 3]], "entities": [], "relations": []}
        (tmp_path / "x.jsonl").write_text(json.dumps(line))
        reading = Reading()
        assert read_records(tmp_path / "x.jsonl", reading)[0]["tokens"] == ["Ada"]
        assert reading.lost["characters outside of 'words', which become no words"] == 6

    def test_a_field_that_stands_there_twice_is_refused(self, tmp_path):
        (tmp_path / "x.jsonl").write_text('{"text": "a", "text": "b", "entities": [], "relations": []}')
        with pytest.raises(ValueError, match="line 1: expected each field of an object once, got 'text' twice"):
            read_records(tmp_path / "x.jsonl", Reading())

    def region(self, **changes):
        value = {"start": 0, "end": 3, "text": "Tom", "labels": ["Person"]}
        return {"id": "a", "type": "labels", "value": value | changes}

    @pytest.mark.parametrize(
        ("results", "message"),
        [
            ([{"labels": "Person"}], "entry 0, field 'value', field 'labels': expected a list, got 'Person'"),
            ([{"labels": []}], r"field 'labels': expected at least one entry, got \[\]"),
            ([{"start": 4, "end": 7}], r"entry 0, field 'value': expected 'Tom', but the text at \[4, 7\) is 'met'"),
            ([{}, {}], "entry 1, field 'id': expected each region's id once, got 'a' again"),
            ([{"start": "0"}], "field 'start': expected a whole number, got '0'"),
        ],
    )
    def test_label_studio_is_checked(self, tmp_path, results, message):
        result = [self.region(**changes) for changes in results]
        task = {"data": {"text": "Tom met Ada"}, "annotations": [{"result": result}]}
        (tmp_path / "x.json").write_text(json.dumps([task]))
        with pytest.raises(ValueError, match=message) as refused:
            read_records(tmp_path / "x.json", Reading(), "label-studio")
        assert f"{tmp_path / 'x.json'}, task 0, field 'annotations', entry 0, field 'result'" in str(refused.value)

    def test_label_studio_arrows_may_point_both_ways(self, tmp_path):
        other = self.region(start=8, end=11, text="Ada") | {"id": "b"}
        arrow = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "bi", "labels": ["knows"]}
        task = {"data": {"text": "Tom met Ada"}, "annotations": [{"result": [self.region(), other, arrow]}]}
        (tmp_path / "x.json").write_text(json.dumps([task]))
        (record,) = read_records(tmp_path / "x.json", Reading(), "label-studio")
        assert [(one["head"], one["tail"]) for one in record["relations"]] == [(0, 1), (1, 0)]

    def test_label_studio_tasks_without_annotations_are_counted_or_refused(self, tmp_path):
        tasks = [{"data": {"text": "Tom"}, "annotations": []}, {"data": {"text": "Tom"}, "anotations": []}]
        (tmp_path / "x.json").write_text(json.dumps(tasks[:1]))
        reading = Reading()
        assert read_records(tmp_path / "x.json", reading, "label-studio")[0]["entities"] == []
        assert reading.lost["tasks without annotations, read as texts without entities"] == 1
        (tmp_path / "x.json").write_text(json.dumps(tasks))
        with pytest.raises(ValueError, match=r"task 1: expected a field 'annotations' .* got only \['anotations'\]"):
            read_records(tmp_path / "x.json", Reading(), "label-studio")

    def test_doccano_ids_are_given_once(self, tmp_path):
        entity = {"id": 5, "label": "Person", "start_offset": 0, "end_offset": 3}
        line = {"text": "Tom met Ada", "entities": [entity, entity | {"start_offset": 8, "end_offset": 11}]}
        (tmp_path / "x.jsonl").write_text(json.dumps(line))
        with pytest.raises(
            ValueError, match="line 1, field 'entities', entry 1, field 'id': expected each id once, got"
        ):
            read_records(tmp_path / "x.jsonl", Reading(), "doccano")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                b"<!DOCTYPE html>\n<p>Log in</p>\n",
                "line 1: expected an annotation in brat's standoff format, got '<!DOC",
            ),
            (b"\0\0\0\0", "line 1: expected an annotation in brat's standoff format"),
            (b"T1\tPerson 0 3\tAda\nT1\tPerson 4 8\tPark\n", "line 2: expected each id once, got 'T1' again"),
            (b"T1\tPerson 0 3\tAda\nT2\tPl\xe9 4 8\tPark\n", r"line 2: expected UTF-8, but byte 23 of the file"),
            (b"T1\tPerson 0 " + b"9" * 5000 + b"\tAda\n", "line 1: expected an entity"),
            (b"\x1f\x8b\x08", "line 1: expected UTF-8.*unpack it"),
        ],
    )
    def test_brat_lines_are_checked(self, tmp_path, content, message):
        (tmp_path / "doc.txt").write_text("Ada Park")
        (tmp_path / "doc.ann").write_bytes(content)
        with pytest.raises(ValueError, match=message) as refused:
            read_records(tmp_path, Reading())
        assert str(refused.value).startswith(str(tmp_path / "doc.ann"))

    def test_brat_files_without_annotations_or_text_are_told(self, tmp_path):
        (tmp_path / "doc.txt").write_bytes(b"\xef\xbb\xbfAda Park")
        (tmp_path / "doc.ann").write_bytes(b"")
        reading = Reading()
        assert read_records(tmp_path, reading)[0]["tokens"] == ["Ada", "Park"]
        assert reading.lost == {"empty .ann files, read as texts without entities": 1}
        (tmp_path / "lost.ann").write_bytes(b"")
        with pytest.raises(FileNotFoundError, match=r"lost\.txt: expected lost\.txt and lost\.ann beside each other"):
            read_records(tmp_path, Reading())

    def test_brat_does_not_mix_two_corpora(self, tmp_path):
        write_records(tmp_path / "out", [RECORDS[0]], "brat")
        with pytest.raises(ValueError, match=r"out: expected a new folder, or one without .*corpora would be mixed"):
            write_records(tmp_path / "out", [RECORDS[1]], "brat")
        assert [record["id"] for record in read_records(tmp_path / "out", Reading())] == ["a/1"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a\tO\nPark\tI-Personjoined\tO\n", "line 2: expected 2 columns, as in the lines before, got 3"),
            ("# id = x\na\tO\n# id = y\nb\tO\n", "line 3: expected an empty line before the next sentence"),
            ("# id = xa\tO\n", "line 1: expected an id without tabs"),
            ("# id = x\na\tO\n\n# id = y\n", "at the end: expected a sentence after its id, 'y', got none"),
            ("a\tO\n\tO\n", "line 2: expected a word and its tag"),
        ],
    )
    def test_a_line_break_that_is_lost_in_columns_is_noticed(self, tmp_path, text, message):
        (tmp_path / "x.bio").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_records(tmp_path / "x.bio", Reading())

    @pytest.mark.parametrize("name", ["spert-json", "json-lines", "label-studio", "doccano", "columns", "parquet"])
    @pytest.mark.parametrize("content", [b"[" * 100_000, b"9" * 5_000, b'"\xe9"', b"\x1f\x8b\x08", b"<p>", b"[NaN]"])
    def test_files_that_are_none_are_refused_by_name(self, tmp_path, name, content):
        file = tmp_path / ENDINGS[name]
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"expected") as refused:
            read_records(file, Reading(), name)
        assert str(refused.value).startswith(str(file))

    def test_doc_bins_are_checked(self, tmp_path):
        spacy = pytest.importorskip("spacy")
        from spert.corpora.formats.spacy_docs import doc_of

        (tmp_path / "x.spacy").write_bytes(b"no DocBin")
        with pytest.raises(ValueError, match=r"x\.spacy: expected a DocBin of spaCy"):
            read_records(tmp_path / "x.spacy", Reading())
        doc = doc_of(RECORDS[0], spacy.vocab.Vocab())
        doc._.relations = [3]
        spacy.tokens.DocBin(store_user_data=True, docs=[doc]).to_disk(tmp_path / "x.spacy")
        with pytest.raises(ValueError, match="document 0, field 'relations', entry 0: expected an object"):
            read_records(tmp_path / "x.spacy", Reading())
        spacy.tokens.DocBin(docs=[doc]).to_disk(tmp_path / "x.spacy")
        reading = Reading()
        read_records(tmp_path / "x.spacy", reading)
        assert reading.lost["documents without the extension 'relations', read as documents without relations"] == 1

    def test_a_doc_bin_that_unpacks_to_too_much(self, tmp_path, monkeypatch):
        pytest.importorskip("spacy")
        file = tmp_path / "x.spacy"
        write_records(file, RECORDS)
        size = len(zlib.decompress(file.read_bytes()))
        monkeypatch.setattr("spert.corpora.formats.spacy_docs.MAX_UNPACKED", size)
        assert len(list(read_records(file, Reading()))) == len(RECORDS)
        monkeypatch.setattr("spert.corpora.formats.spacy_docs.MAX_UNPACKED", size - 1)
        with pytest.raises(ValueError, match=rf"x\.spacy: expected at most {size - 1} bytes unpacked, got more"):
            read_records(file, Reading())

    @pytest.mark.parametrize("name", ENDINGS)
    def test_a_full_disk_leaves_nothing_of_a_converted_file(self, name, tmp_path):
        if name == "spacy":
            pytest.importorskip("spacy")
        record = RECORDS[0] | {"id": "a"} if name == "brat" else RECORDS[0]
        if name == "columns":
            record = record | {"entities": [], "relations": []}
        with pytest.raises(OSError, match="File too large"), full_disk(8):
            write_records(tmp_path / "out" / ENDINGS[name], [record], name)
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_words_that_are_not_in_their_text_are_no_json_lines(self, tmp_path):
        record = {"id": "x", "tokens": ["-LRB-"], "entities": [], "relations": [], "text": "(", "words": [[0, 1]]}
        with pytest.raises(ValueError, match="record 'x', word 0: expected the word as it stands in the text, '\\('"):
            write_records(tmp_path / "x.jsonl", [record])
