"""What other programs may write, and what must not become a corpus in silence."""

import json
import zlib

import pytest

from spert.corpora.formats import read_records, write_records
from spert.corpora.reading import Reading
from tests.checkpoint_parts import full_disk
from tests.test_formats import ENDINGS, RECORDS


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

    def test_label_studio_tasks_without_the_field_are_refused(self, tmp_path):
        tasks = [{"data": {"text": "Tom"}, "annotations": []}, {"data": {"text": "Tom"}, "anotations": []}]
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
