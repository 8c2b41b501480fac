import copy
import json
import sys
from importlib.abc import MetaPathFinder

import pytest
from typer.testing import CliRunner

from spert.cli import app, main
from spert.corpora import ade

RECORD = {
    "tokens": ["Ada", "of", "Oslo"],
    "entities": [{"type": "Person", "start": 0, "end": 1}, {"type": "Place", "start": 2, "end": 3}],
    "relations": [{"type": "knows", "head": 0, "tail": 1}],
}
TYPES = {"entities": {"Person": {}, "Place": {}}, "relations": {"knows": {"symmetric": True}, "eats": {}}}


class NoSpacy(MetaPathFinder):
    """Finds no spaCy, as on a machine where it is not installed."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] == "spacy":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@pytest.fixture
def no_spacy(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "spacy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoSpacy(), *sys.meta_path])
    ade._english.cache_clear()
    yield
    ade._english.cache_clear()


def run(*arguments):
    return CliRunner().invoke(app, ["corpus", *map(str, arguments)])


def other(**changes):
    return copy.deepcopy(RECORD) | {"tokens": ["Ada", "of", "Rome"]} | changes


@pytest.fixture
def folder(tmp_path):
    def write(**splits):
        for split, records in splits.items():
            (tmp_path / f"{split}.json").write_text(json.dumps(records))
        (tmp_path / "types.json").write_text(json.dumps(TYPES))
        return tmp_path

    return write


def test_a_sound_corpus(folder):
    done = run("check", folder(train=[RECORD], test=[other()]))
    assert done.exit_code == 0
    assert done.output == "0 error(s), 0 warning(s).\n"


WIDE = {"type": "Person", "start": 0, "end": 12}


@pytest.mark.parametrize(
    ("record", "kind", "message"),
    [
        ({"tokens": 3}, "error", "record 1, field 'tokens': expected a list, got 3"),
        (other(entities=[*RECORD["entities"], {"type": "Ship", "start": 0, "end": 1}]), "error", "got 'Ship'"),
        (other(relations=[{"type": "knows", "head": 0, "tail": 0}]), "error", "entity 0 as head and tail"),
        (other(entities=[{"type": kind, "start": 0, "end": 1} for kind in TYPES["entities"]]), "error", "one type"),
        (other(tokens=["a"] * 120, entities=[WIDE | {"end": 110}], relations=[]), "error", "110 words, a model takes"),
        (RECORD, "warning", "record 1: the sentence stands twice, also at"),
        (
            other(tokens=["a"] * 12, entities=[WIDE], relations=[]),
            "warning",
            "1 of 3 entities (33.33%) are wider than 10",
        ),
        (
            other(entities=[RECORD["entities"][0]] * 2, relations=[]),
            "warning",
            "the entity Person [0, 1) stands 2 times; it counts once",
        ),
        (
            other(relations=RECORD["relations"] * 2),
            "warning",
            "the relation knows from 0 to 1 stands 2 times; it counts once",
        ),
        (
            other(text="Ada in Rome", words=[[0, 3], [4, 6], [7, 11]]),
            "warning",
            "the text has 'in' at [4, 6), the token is 'of'",
        ),
        (
            other(relations=[{"type": "knows", "head": head, "tail": 1 - head} for head in (0, 1)]),
            "warning",
            "the symmetric relation knows of 0 and 1 stands in both directions",
        ),
    ],
)
def test_each_fault_is_reported(folder, record, kind, message):
    done = run("check", folder(train=[RECORD, record]))
    assert any(line.startswith(f"{kind}: ") and message in line for line in done.output.splitlines()), done.output
    assert done.output.count(message) == 1
    if kind == "warning":
        assert done.output.endswith("0 error(s), 1 warning(s).\n")
    assert done.exit_code == (1 if kind == "error" else 0)


def test_what_just_fits_is_no_fault(folder):
    def wide(words, *tokens):
        entity = {"type": "Person", "start": 0, "end": words}
        return {"tokens": [*tokens, *["a"] * words], "entities": [entity], "relations": []}

    assert run("check", folder(train=[wide(10, "b"), RECORD])).output == "0 error(s), 0 warning(s).\n"
    assert "1 of 3 entities (33.33%) are wider than 10" in run("check", folder(train=[wide(11), RECORD])).output
    related = wide(11, "b") | {"relations": [{"type": "knows", "head": 1, "tail": 0}]}
    related["entities"] = [*related["entities"], {"type": "Place", "start": 11, "end": 12}]
    assert "find them, nor 1 of 2 relations." in run("check", folder(train=[related, RECORD])).output
    place = folder(train=[wide(99)])
    assert run("check", place, "--max-span-width", "99").output == "0 error(s), 0 warning(s).\n"
    done = run("check", folder(train=[wide(100)]))
    assert "record 0, entity 0: 100 words, a model takes at most 99" in done.output
    assert done.exit_code == 1


def test_all_faults_of_all_splits_are_reported(folder):
    place = folder(train=[{}, RECORD, 3], test=[RECORD, other(relations=[{"type": "eats", "head": 0, "tail": 1}])])
    done = run("check", place)
    assert done.exit_code == 1
    assert done.output.count("error: ") == 2
    assert "in two splits" in done.output
    assert "relations of type 'eats' occur in the split test only" in done.output
    (place / "test.json").write_text("{")
    assert "expected JSON" in run("check", place).output


def test_sentences_too_long_for_an_encoder(folder, tiny_bert_folder):
    place = folder(train=[RECORD, other(tokens=["Oslo"] * 600, entities=[], relations=[])])
    done = run("check", place / "train.json", "--model", tiny_bert_folder)
    assert done.exit_code == 1
    assert "record 1: 602 pieces, the encoder takes at most 512" in done.output
    longest = other(tokens=["Oslo"] * 510, entities=[], relations=[])
    assert run("check", folder(train=[longest]) / "train.json", "--model", tiny_bert_folder).exit_code == 0


def test_stats(root):
    done = run("stats", root / "examples" / "gazette")
    assert done.exit_code == 0
    assert "| sentences | 703 | 70 | 100 |" in done.output
    assert "| married_to (symmetric) | 87 | 6 | 7 |" in done.output
    assert "duplicate" not in done.output


def test_stats_count_duplicate_entities(folder):
    twice = RECORD | {"entities": [*RECORD["entities"], RECORD["entities"][0]]}
    done = run("stats", folder(train=[twice, other()], test=[RECORD]))
    assert "| entities | 4 | 2 |" in done.output
    assert "| duplicate entities, merged | 1 | 0 |" in done.output


@pytest.mark.parametrize("name", ["conll04", "scierc", "ade"])
def test_the_cards_hold_what_the_command_prints(name, root, data_dir):
    done = run("stats", name, "--data-dir", data_dir / name)
    assert done.exit_code == 0
    assert done.output.strip() in (root / "docs" / "corpora.md").read_text()


def test_convert(folder, tmp_path):
    source = folder(train=[RECORD]) / "train.json"
    done = run("convert", source, tmp_path / "out.jsonl", "--to-format", "doccano")
    assert done.exit_code == 0, done.output
    assert "1 records" in done.output
    done = run("convert", tmp_path / "out.jsonl", tmp_path / "back.json", "--from-format", "doccano")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "back.json").read_text()) == [RECORD | {"orig_id": "0"}]


def test_convert_counts_what_it_changes(tmp_path):
    line = {"text": "Parkinson came. Tom left.", "entities": [{"type": "P", "start": 0, "end": 4}]}
    line["entities"].append({"type": "P", "start": 16, "end": 19})
    line["relations"] = [{"type": "r", "head": 0, "tail": 1}]
    (tmp_path / "x.jsonl").write_text(json.dumps(line))
    done = run("convert", tmp_path / "x.jsonl", tmp_path / "x.json", "--align", "expand", "--split-sentences")
    assert done.exit_code == 0, done.output
    assert "1 spans widened to whole words" in done.output
    assert "1 relations between sentences" in done.output
    assert len(json.loads((tmp_path / "x.json").read_text())) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats", "ade", "--data-dir", "{tmp}"], "ade: splitting DRUG-AE.rel into words needs spaCy"),
        (["convert", "{tmp}/a.json", "{tmp}/a.spacy"], "The format 'spacy' needs spaCy"),
    ],
)
def test_without_spacy_the_message_says_how_to_install_it(tmp_path, monkeypatch, capsys, no_spacy, arguments, message):
    (tmp_path / "DRUG-AE.rel").write_text(f"1|Rash after aspirin in {tmp_path}.|Rash|10|14|aspirin|21|28\n")
    (tmp_path / "a.json").write_text(json.dumps([RECORD]))
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["spert", "corpus", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err == f"spert: {message}: pip install 'spert[spacy]'.\n"


def test_sentences_are_split_without_spacy(tmp_path, no_spacy):
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": "Dr. Ray came. Tom left.", "entities": []}))
    done = run("convert", tmp_path / "x.jsonl", tmp_path / "x.json", "--split-sentences")
    assert done.exit_code == 0, done.output
    assert [record["text"] for record in json.loads((tmp_path / "x.json").read_text())] == [
        "Dr. Ray came.",
        "Tom left.",
    ]


def test_document_starts_are_counted(tmp_path):
    (tmp_path / "x.conll").write_text("-DOCSTART- -X- -X- O\n\nOslo NNP B-NP B-LOC\n\n-DOCSTART- O\n\n")
    done = run("convert", tmp_path / "x.conll", tmp_path / "x.json")
    assert "2 -DOCSTART- lines left out" in done.output
    assert "x.json: 1 records" in done.output


def test_faults_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spert", "corpus", "convert", str(tmp_path / "a.docx"), str(tmp_path / "a.json")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert "expected one of the endings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("x.json", "x.json", "x.json: expected another file or folder to write than the one that is read"),
        ("empty.json", "y.json", "empty.json: expected at least one record, got none"),
    ],
)
def test_conversions_of_nothing_and_onto_the_source_are_refused(tmp_path, source, target, message):
    (tmp_path / "x.json").write_text(json.dumps([RECORD]))
    (tmp_path / "empty.json").write_text("[]")
    done = run("convert", tmp_path / source, tmp_path / target)
    assert message in str(done.exception)
    assert json.loads((tmp_path / "x.json").read_text()) == [RECORD]
    assert not (tmp_path / "y.json").exists()


def test_fields_that_are_not_read_are_told(folder, tmp_path):
    place = folder(train=[RECORD | {"txt": "Ada of Oslo"}])
    done = run("check", place / "train.json")
    assert f"warning: {place / 'train.json'}: 1 fields 'txt' of records not read.\n" in done.output
    done = run("convert", place / "train.json", tmp_path / "out.jsonl")
    assert "1 fields 'txt' of records not read" in done.output


def test_a_corpus_of_nothing_is_refused_by_name(folder):
    place = folder(train=[])
    done = run("stats", place)
    assert str(done.exception) == f"{place / 'train.json'}: expected at least one record, got none."


def test_files_of_other_formats_are_checked(tmp_path):
    line = {"text": "Ada", "entities": [{"type": "Person", "start": 0, "end": 3, "score": 0.5}], "relations": []}
    broken = line | {"entities": [{"type": "Person", "start": 0, "end": 9}]}
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(line) + "\n" + json.dumps(broken | {"x": 1}) + "\n" + json.dumps(line | {"x": 1}) + "\n")
    done = run("check", path)
    assert done.exit_code == 1
    assert f"error: {path}, line 2, field 'entities', entry 0" in done.output
    assert f"warning: {path}: 1 fields 'x' of lines not read." in done.output
    assert f"warning: 2 records have scores, as a model's predictions do (the first: {path}, record 0)" in done.output
