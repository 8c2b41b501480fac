"""Annotated text in files as annotation tools write them."""

import json

import pytest

from spert.corpora.formats import read_records, write_records
from spert.corpora.reading import Reading, Writing
from tests.test_formats import RECORDS


class TestFilesAsTheToolsWriteThem:
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

    def test_doccano_export_without_relations(self, tmp_path):
        lines = [{"id": 3, "text": "Ada 🙂 Oslo", "label": [[7, 11, "Place"], [0, 3, "Person"]], "Comments": []}]
        lines += [
            {"id": 4, "text": "Oslo", "labels": [[0, 4, "Place"]], "source": "a"},
            {"id": 5, "text": "x", "label": []},
        ]
        (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        reading = Reading()
        first, second, _ = read_records(tmp_path / "x.jsonl", reading, "doccano")
        assert first["entities"] == [{"type": "Place", "start": 2, "end": 3}, {"type": "Person", "start": 0, "end": 1}]
        assert second["entities"] == [{"type": "Place", "start": 0, "end": 1}]
        assert +reading.lost == {
            "lines of an export without relations": 3,
            "fields 'source' of lines not read": 1,
            "lines without entities: Doccano does not say whether a person read them": 1,
        }
        (tmp_path / "x.jsonl").write_text(json.dumps(lines[0] | {"label": [[7, 11]]}))
        with pytest.raises(ValueError, match="line 1, field 'label', entry 0: expected a list of another length"):
            read_records(tmp_path / "x.jsonl", Reading(), "doccano")

    def prodigy_line(self, **changes):
        """A task of `rel.manual` as Prodigy's documents show it."""
        text = "Ada Park joined  Northwind."
        tokens = [(0, 3), (4, 8), (9, 15), (16, 17), (17, 26), (26, 27)]
        ada = {"start": 0, "end": 8, "token_start": 0, "token_end": 1, "label": "Person"}
        labs = {"start": 17, "end": 26, "token_start": 4, "token_end": 4, "label": "Organization"}
        relation = {"head": 1, "child": 4, "head_span": ada, "child_span": labs, "label": "works_for", "color": "#ffd"}
        return {
            "text": text,
            "tokens": [
                {"text": text[start:end], "start": start, "end": end, "id": index, "ws": True}
                for index, (start, end) in enumerate(tokens)
            ],
            "spans": [ada, labs],
            "relations": [relation],
            "_input_hash": 11,
            "_task_hash": 12,
            "_view_id": "relations",
            "answer": "accept",
        } | changes

    def test_prodigy(self, tmp_path):
        lines = [
            self.prodigy_line(),
            self.prodigy_line(_input_hash=2, answer="reject"),
            self.prodigy_line(_input_hash=3, answer="ignore"),
            {name: value for name, value in self.prodigy_line(_input_hash=4).items() if name != "answer"},
        ]
        path = tmp_path / "x.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        reading = Reading()
        (record,) = read_records(path, reading, "prodigy")
        assert record["tokens"] == ["Ada", "Park", "joined", "Northwind", "."]  # Prodigy's spaces are no words
        assert record["entities"][1] == {"type": "Organization", "start": 3, "end": 4}
        assert record["relations"] == [{"type": "works_for", "head": 0, "tail": 1}]
        assert reading.left_out == {
            "lines that were rejected": [f"{path}, line 2"],
            "lines that were ignored": [f"{path}, line 3"],
            "lines that nobody answered": [f"{path}, line 4"],
        }
        write_records(tmp_path / "y.jsonl", [record], "prodigy", Writing(annotations=True))
        (written,) = map(json.loads, (tmp_path / "y.jsonl").read_text().splitlines())
        assert written["answer"] == "accept"
        assert written["relations"][0]["head"] == 1
        assert written["relations"][0]["child_span"] == written["spans"][1]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"answer": "yes"}, "line 1, field 'answer': expected accept, reject or ignore, got 'yes'"),
            ({"tokens": [{"text": "Ada", "start": 1, "end": 4}]}, "'tokens', entry 0: expected 'Ada', but the text at"),
            ({"spans": [{"start": 0, "end": 99, "label": "P"}]}, "'spans', entry 0: expected a range of characters"),
            (
                {"relations": [{"head": 99, "child": 4, "label": "r"}]},
                "field 'head': expected one of 6 tokens",
            ),
        ],
    )
    def test_prodigy_is_checked(self, tmp_path, changes, message):
        (tmp_path / "x.jsonl").write_text(json.dumps(self.prodigy_line(**changes)))
        with pytest.raises(ValueError, match=message):
            read_records(tmp_path / "x.jsonl", Reading(), "prodigy")

    def test_prodigy_lines_of_one_text_by_several_people(self, tmp_path):
        lines = [self.prodigy_line(_annotator_id="set-ann"), self.prodigy_line(_annotator_id="set-ben", relations=[])]
        lines[1]["relations"] = [{"head": 2, "child": 4, "label": "r"}]  # of a token that no span marks
        (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        with pytest.raises(
            ValueError, match="line 1, field '_input_hash': expected one annotation, got 2, by set-ann, set-ben"
        ):
            read_records(tmp_path / "x.jsonl", Reading(), "prodigy")
        reading = Reading(annotator="set-ben")
        (record,) = read_records(tmp_path / "x.jsonl", reading, "prodigy")
        assert record["relations"] == []
        assert list(reading.left_out) == ["relations of tokens that no span marks"]

    def test_spacy_docs(self, tmp_path):
        spacy = pytest.importorskip("spacy")
        from spert.corpora.formats.spacy_docs import doc_of, record_of

        doc = doc_of(RECORDS[0], spacy.blank("en").vocab)
        for group in ("entities", "sc"):
            assert [(span.text, span.label_) for span in doc.spans[group]][1] == ("Lisbon School", "Organization")
        assert [span.text for span in doc.ents] == ["Ada Park", "Lisbon School"]  # the longer of two that overlap
        assert doc._.relations == RECORDS[0]["relations"]
        assert record_of(doc) == RECORDS[0]
        with pytest.raises(ValueError, match="expected a span group 'entities'"):
            record_of(spacy.blank("en")("Ada"))

    def test_spacys_own_entities_and_spans(self, tmp_path):
        spacy = pytest.importorskip("spacy")
        from spert.corpora.formats.spacy_docs import record_of

        text = "Ada  Park\nlives in Oslo.\n"
        doc = spacy.blank("en")(text)
        doc.ents = [doc.char_span(19, 23, label="Place")]
        record = record_of(doc)
        assert record["text"] == text
        assert record["tokens"] == ["Ada", "Park", "lives", "in", "Oslo", "."]
        assert record["entities"] == [{"type": "Place", "start": 4, "end": 5}]
        doc.spans["sc"] = [doc.char_span(0, 9, label="Person")]
        reading = Reading()
        assert record_of(doc, reading=reading)["entities"] == [{"type": "Person", "start": 0, "end": 2}]
        assert reading.lost == {"entities of doc.ents not read, as the group 'sc' is": 1}
        assert record_of(doc, reading=Reading(spans="ents"))["entities"] == record["entities"]
        with pytest.raises(ValueError, match=r"expected a span group 'x', got \['ents', 'sc'\]. Name one of them"):
            record_of(doc, reading=Reading(spans="x"))

    def test_parquet_is_the_hubs_shape(self, tmp_path):
        import pyarrow.parquet

        write_records(tmp_path / "x.parquet", RECORDS)
        table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
        assert set(table.column_names) == {"entities", "tokens", "relations", "orig_id"}
        assert table["entities"].to_pylist()[1] == [{"type": "Place", "start": 0, "end": 1}]

    def test_csv(self, tmp_path):
        text = 'Ada said "hi",\r\nin Oslo'
        (tmp_path / "x.csv").write_text(
            'text,entities,note\r\n"Ada said ""hi"",\r\nin Oslo",'
            '"[{""type"": ""Place"", ""start"": 19, ""end"": 23}]",x\r\n',
            newline="",
        )
        reading = Reading()
        (record,) = read_records(tmp_path / "x.csv", reading)
        assert (record["text"], record["tokens"][-1]) == (text, "Oslo")
        assert record["entities"] == [
            {"type": "Place", "start": len(record["tokens"]) - 1, "end": len(record["tokens"])}
        ]
        assert reading.lost["fields 'note' of lines not read"] == 1
        for content, message in (
            ("", "row 0: expected a first line with the names of columns"),
            ("text,text\na,b\n", r"expected each column once, got \['text'\]"),
            ("text,entities\na\n", "row 0: expected 2 cells, as the first line has, got 1"),
            ("text,entities\na,[\n", "row 0, field 'entities': expected JSON"),
            ('text\n"a', "expected CSV with double quotes"),
        ):
            (tmp_path / "x.csv").write_text(content)
            with pytest.raises(ValueError, match=message):
                read_records(tmp_path / "x.csv", Reading())

    @pytest.mark.parametrize("tags", ["O B-A I-A B-A O", "O B-A L-A U-A O", "O B-A E-A S-A O"])
    def test_tag_schemes(self, tmp_path, tags):
        lines = [f"w{number} {tag}" for number, tag in enumerate(tags.split())]
        (tmp_path / "x.conll").write_text("-DOCSTART- O\n\n" + "\n".join(lines) + "\n\n\nv\tO")
        one, two = read_records(tmp_path / "x.conll", Reading())
        assert [(entity["start"], entity["end"]) for entity in one["entities"]] == [(1, 3), (3, 4)]
        assert (two["id"], two["tokens"]) == ("1", ["v"])

    def test_iob1(self, tmp_path):
        """CoNLL-2003's own scheme: `B-` only right behind an entity of the same type."""
        (tmp_path / "x.iob").write_text("".join(f"w {tag}\n" for tag in ["I-A", "I-A", "B-A", "I-B", "O", "I-B"]))
        (record,) = read_records(tmp_path / "x.iob", Reading(tags="iob1"))
        spans = [(entity["type"], entity["start"], entity["end"]) for entity in record["entities"]]
        assert spans == [("A", 0, 2), ("A", 2, 3), ("B", 3, 4), ("B", 5, 6)]
        with pytest.raises(ValueError, match=r"line 1: expected the entity to begin with B-A, .* say --tags iob1"):
            read_records(tmp_path / "x.iob", Reading())
        (tmp_path / "x.iob").write_text("w O\nw B-A\n")
        with pytest.raises(ValueError, match=r"line 2: expected I-A, .* Is the file BIO"):
            read_records(tmp_path / "x.iob", Reading(tags="iob1"))

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
