"""Annotated text in files as annotation tools write them."""

import json

import pytest

from spert.corpora.formats import read_records, write_records
from spert.corpora.reading import Reading
from tests.test_formats import RECORDS


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
