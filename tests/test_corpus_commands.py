import copy
import json
import sys

import pytest
from typer.testing import CliRunner

from spert.cli import app, main

RECORD = {
    "tokens": ["Ada", "of", "Oslo"],
    "entities": [{"type": "Person", "start": 0, "end": 1}, {"type": "Place", "start": 2, "end": 3}],
    "relations": [{"type": "knows", "head": 0, "tail": 1}],
}
TYPES = {"entities": {"Person": {}, "Place": {}}, "relations": {"knows": {"symmetric": True}, "eats": {}}}


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
        (other(entities=[RECORD["entities"][0]] * 2), "warning", "the entity Person [0, 1) stands 2 times"),
        (other(relations=RECORD["relations"] * 2), "warning", "the relation knows from 0 to 1 stands 2 times"),
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
    assert done.exit_code == (1 if kind == "error" else 0)


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


def test_stats(root):
    done = run("stats", root / "examples" / "gazette")
    assert done.exit_code == 0
    assert "| sentences | 239 | 40 | 60 |" in done.output
    assert "| married_to (symmetric) | 21 | 2 | 5 |" in done.output


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


def test_faults_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spert", "corpus", "convert", str(tmp_path / "a.docx"), str(tmp_path / "a.json")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert "expected one of the endings" in capsys.readouterr().err
