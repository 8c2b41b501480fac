"""brat's folders as the tool writes them."""

import pytest
from typer.testing import CliRunner

from spert.cli import app
from spert.corpora.formats import read_records, write_records
from spert.corpora.reading import Reading

TEXT = "Ada Park joined Northwind\nLabs.\nShe met Tom."
CONF = """
<PEOPLE>=Person|Group   # a macro
[entities]
!Being
\tPerson
\tGroup
Place
\tCity
Organization
[relations]
works_for Arg1:<PEOPLE>, Arg2:Organization
lives_in Dweller:Being, Home:Place
knows Arg1:Person, Arg2:Person, <REL-TYPE>:symmetric
<OVERLAP> Arg1:<ENTITY>, Arg2:<ENTITY>, <OVL-TYPE>:<ANY>
[events]
Meet Who:Person
[attributes]
Sure Arg:<ENTITY>
"""


def write(folder, annotations, text=TEXT, name="doc"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(text)
    (folder / f"{name}.ann").write_text(annotations)
    return folder


def test_a_document(tmp_path):
    write(
        tmp_path,
        "T1\tPerson 0 8\tAda Park\nT2\tOrganization 16 25;26 30\tNorthwind Labs\nT3\tPerson 40 43\tTom\n"
        "T4\tPerson 32 35\tShe\nR1\tworks_for Arg1:T1 Arg2:T2\t\n*\tEquiv T1 T3 T4\nE1\tMeet:T3 Who:T1\n"
        "A1\tSure T1\n#1\tAnnotatorNotes T1\thm\nN1\tReference T1 Wikipedia:1\tAda\n",
    )
    reading = Reading()
    (record,) = read_records(tmp_path, reading)
    assert (record["id"], record["text"]) == ("doc", TEXT)
    assert record["entities"][1] == {"type": "Organization", "start": 3, "end": 5}
    pairs = [(one["type"], one["head"], one["tail"]) for one in record["relations"]]
    assert pairs == [("works_for", 0, 1), ("Equiv", 0, 2), ("Equiv", 0, 3), ("Equiv", 2, 3)]
    assert reading.lost == {
        "events passed over": 1,
        "attributes passed over": 1,
        "notes passed over": 1,
        "normalizations passed over": 1,
    }
    write_records(tmp_path / "back", [record], "brat")
    lines = (tmp_path / "back" / "doc.ann").read_text().splitlines()
    assert lines[1] == "T2\tOrganization 16 25;26 30\tNorthwind Labs"
    assert lines[4:] == ["*\tEquiv T1 T3 T4", "R1\tworks_for Arg1:T1 Arg2:T2"]
    assert (tmp_path / "back" / "doc.txt").read_text() == TEXT


def test_discontinuous_spans(tmp_path):
    line = "T1\tPerson 0 3;9 15\tAda joined\n"
    with pytest.raises(ValueError, match=r"doc.ann, line 1: expected a span in one piece, .*--discontinuous join"):
        read_records(write(tmp_path, line), Reading())
    reading = Reading(discontinuous="join")
    (record,) = read_records(tmp_path, reading)
    assert record["entities"] == [{"type": "Person", "start": 0, "end": 3}]
    assert reading.lost["discontinuous spans joined"] == 1
    with pytest.raises(ValueError, match=r"expected 'Ada Park', but the text at .* is 'Ada joined'"):
        read_records(write(tmp_path, line.replace("Ada joined", "Ada Park")), reading)


def test_subfolders(tmp_path):
    write(tmp_path / "in" / "b" / "c", "", name="d")
    write(tmp_path / "in", "", name="a%2F1")
    write(tmp_path / "in" / ".hidden", "")
    records = read_records(tmp_path / "in", Reading())
    assert [record["id"] for record in records] == ["a/1", "b/c/d"]
    odd = [records[0] | {"id": name} for name in (".x", "..", "a//b", "b/c/d")]
    write_records(tmp_path / "out", odd, "brat")
    assert (tmp_path / "out" / "b" / "c" / "d.txt").is_file()
    found = {record["id"] for record in read_records(tmp_path / "out", Reading())}
    assert found == {".x", "..", "a//b", "b/c/d"}
    with pytest.raises(ValueError, match="brat: expected ids that can name a file, got ''"):
        write_records(tmp_path / "none", [records[0] | {"id": ""}], "brat")


def test_annotation_conf_gives_types_and_arguments(tmp_path):
    text = "Ada lives in Oslo"
    folder = write(
        tmp_path / "in",
        "T1\tPerson 0 3\tAda\nT2\tCity 13 17\tOslo\nT3\tThing 4 9\tlives\nR1\tlives_in Home:T2 Dweller:T1\n"
        "R2\tknows Arg1:T1 Arg2:T2\n",
        text,
    )
    (folder / "annotation.conf").write_text(CONF)
    outputs = ["--types-output", str(tmp_path / "types.json"), "--arguments-output", str(tmp_path / "arguments.json")]
    done = CliRunner().invoke(app, ["corpus", "convert", str(folder), str(tmp_path / "x.json"), *outputs])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "1 entities of types that annotation.conf does not declare\n" in done.output
    assert "1 relations of types or arguments that annotation.conf does not declare\n" in done.output
    from spert.corpora import read_types
    from spert.files import read_json

    types = read_types(tmp_path / "types.json")
    assert list(types.entities) == ["Person", "Group", "Place", "City", "Organization"]
    assert (list(types.relations), types.symmetric_relations) == (["works_for", "lives_in", "knows"], ("knows",))
    arguments = read_json(tmp_path / "arguments.json")
    assert arguments["works_for"] == [["Person", "Organization"], ["Group", "Organization"]]
    assert arguments["lives_in"] == [["Person", "Place"], ["Person", "City"], ["Group", "Place"], ["Group", "City"]]
    (record,) = read_json(tmp_path / "x.json")
    assert record["relations"][0] == {"type": "lives_in", "head": 0, "tail": 1}  # by their roles, not by their order
    (folder / "annotation.conf").write_text("[entities]\nPerson\n[relations]\nr Arg1:Person\n")
    with pytest.raises(ValueError, match=r"annotation.conf, line 4: expected a relation of two"):
        read_records(folder, Reading())
    (folder / "annotation.conf").write_text("[entities]\nPerson\n[relations]\nr Arg1:Person, Arg2:Ship\n")
    with pytest.raises(ValueError, match=r"annotation.conf, line 4: expected entity types of this file, got 'Ship'"):
        read_records(folder, Reading())


def test_arguments_of_other_names_have_to_be_declared(tmp_path):
    write(tmp_path, "T1\tP 0 3\tAda\nT2\tP 4 8\tPark\nR1\tr Who:T1 Whom:T2\n")
    with pytest.raises(ValueError, match=r"line 3: .* of two entities with the arguments Arg1 and Arg2"):
        read_records(tmp_path, Reading())


def test_scores_are_notes(tmp_path):
    write(tmp_path, "T1\tP 0 3\tAda\n#1\tAnnotatorNotes T1\tscore 0.25\n")
    assert read_records(tmp_path, Reading())[0]["entities"] == [{"type": "P", "start": 0, "end": 1, "score": 0.25}]
    write(tmp_path, "T1\tP 0 3\tAda\n#1\tAnnotatorNotes T1\tscore 7\n")
    with pytest.raises(ValueError, match="line 2: expected a score from 0 to 1, got '7'"):
        read_records(tmp_path, Reading())
