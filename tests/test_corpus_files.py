"""`spert corpus convert --on-error`, `split` and `suggest`, and annotated files of any format as training input."""

import json
import re
from collections import Counter

import pytest
from typer.testing import CliRunner

from spert.cli import app
from spert.corpora import load_corpus, load_files, types_of
from spert.corpora.formats import read_records, write_records
from spert.corpora.partition import partition
from spert.corpora.reading import Reading
from tests import tiny

ADA = {"type": "Person", "start": 0, "end": 3}
LINES = [
    {"text": "Ada met Tom", "entities": [ADA, {"type": "Person", "start": 8, "end": 11}], "relations": []},
    {"text": "Ada", "entities": [{"type": "Person", "start": 0, "end": 9}], "relations": []},
    {"text": "Ada", "entities": [ADA], "relations": [], "unknown": 1},
    {"text": "Ada Park", "entities": [{"type": "Person", "start": 0, "end": 5}], "relations": [], "unknown": 1},
]


def run(*arguments):
    return CliRunner().invoke(app, ["corpus", *map(str, arguments)])


def test_faulty_items_are_all_listed_and_left_out(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES) + '{"text": \n')
    done = run("convert", path, tmp_path / "y.json", "--on-error", "skip")
    assert done.exit_code == 3
    faults = [line for line in done.stderr.splitlines() if line.startswith("fault: ")]
    assert [fault.split(",")[1] for fault in faults] == [" line 2", " line 4", " line 5: expected JSON"]
    assert all(fault.startswith(f"fault: {path}, line") for fault in faults)
    assert "3 faulty items, left out.\n" in done.stderr
    assert "1 fields 'unknown' of lines not read\n" in done.stdout  # those of faulty lines are not counted
    assert f"{tmp_path / 'y.json'}: 2 records.\n" in done.stdout
    assert len(json.loads((tmp_path / "y.json").read_text())) == 2
    assert "line 2" in str(run("convert", path, tmp_path / "z.json").exception)
    assert not (tmp_path / "z.json").exists()


@pytest.mark.parametrize(
    ("name", "content", "fault", "kept"),
    [
        ("x.json", '[{"tokens": 3}, {"tokens": ["a"], "entities": [], "relations": []}]', "record 0", ["1"]),
        ("x.bio", "a O\n\nb X\n\nc O d\n\ne O\n", "line 3", ["0", "3"]),
        ("x.csv", "id,text,entities\na,Ada,[\nb,Ada,[]\n", "row 0", ["b"]),
    ],
)
def test_every_format_goes_on_behind_a_fault(tmp_path, name, content, fault, kept):
    (tmp_path / name).write_text(content)
    reading = Reading(on_error="skip")
    records = read_records(tmp_path / name, reading)
    assert [record["id"] for record in records] == kept
    assert reading.faults[0].startswith(f"{tmp_path / name}, {fault}")


def made(number, kind="Person", relation=None):
    entities = [{"type": kind, "start": 0, "end": 1}, {"type": "Place", "start": 1, "end": 2}]
    relations = [{"type": relation, "head": 0, "tail": 1}] if relation else []
    return {
        "id": f"d{number // 2}/{number % 2}",
        "tokens": [f"w{number}", "x"],
        "entities": entities,
        "relations": relations,
    }


def test_a_partition_keeps_documents_and_proportions():
    records = [
        made(number, "Rare" if number % 20 == 0 else "Person", "r" if number % 4 == 0 else None)
        for number in range(200)
    ]
    shares = {"train": 0.8, "validation": 0.1, "test": 0.1}
    splits = partition(records, shares, seed=1)
    assert {name: len(split) for name, split in splits.items()} == {"train": 160, "validation": 20, "test": 20}
    documents = {name: {record["id"].split("/")[0] for record in split} for name, split in splits.items()}
    assert sum(map(len, documents.values())) == 100
    for name, expected in (("train", 8), ("validation", 1), ("test", 1)):
        assert sum(record["entities"][0]["type"] == "Rare" for record in splits[name]) == expected
    relations = Counter({name: sum(bool(record["relations"]) for record in split) for name, split in splits.items()})
    assert relations == {"train": 40, "validation": 5, "test": 5}
    assert partition(records, shares, seed=1) == splits
    assert partition(records, shares, seed=2) != splits


def test_equal_sentences_go_into_one_split():
    records = [made(number) | {"id": str(number), "tokens": ["a", f"w{number % 5}"]} for number in range(20)]
    splits = partition(records, {"train": 0.5, "test": 0.5})
    words = [{record["tokens"][1] for record in split} for split in splits.values()]
    assert not words[0] & words[1]
    with pytest.raises(ValueError, match="expected documents enough for 2 splits, got 1, and none for test"):
        partition([records[0]], {"train": 0.5, "test": 0.5})
    with pytest.raises(ValueError, match="expected shares that add up to 1"):
        partition(records, {"train": 0.5, "test": 0.6})


def test_split(tmp_path):
    write_records(tmp_path / "x.jsonl", [made(number, relation="r") for number in range(40)])
    done = run("split", tmp_path / "x.jsonl", tmp_path / "corpus", "--validation", "0", "--test", "0.25")
    assert done.exit_code == 0, done.exception
    assert "| records | 40 | 30 (75.0%) | 10 (25.0%) |" in done.output
    assert "| relations r | 40 | 30 (75.0%) | 10 (25.0%) |" in done.output
    corpus = load_corpus(tmp_path / "corpus")
    assert corpus.num_rows == {"train": 30, "test": 10}
    assert list(types_of(corpus).entities) == ["Person", "Place"]
    again = run("split", tmp_path / "x.jsonl", tmp_path / "corpus")
    assert "expected a folder without splits, got one with train.json, test.json, types.json" in str(again.exception)


def test_suggest(tmp_path, saved_model):
    """The chosen sentences are written with what the model thinks of them; known and equal ones are not chosen."""
    texts = [" ".join(words) for words in tiny.SENTENCES]
    (tmp_path / "pool.txt").write_text(f"{texts[0]} {texts[1]}\n{texts[2]}\n{texts[0]}\n{texts[3]}\n")
    write_records(tmp_path / "known.json", [tiny.RECORDS[3]])
    output = tmp_path / "next.json"
    arguments = ["--model", saved_model, "--input", tmp_path / "pool.txt", "--output", output, "--number", 2]
    done = run("suggest", *arguments, "--to-format", "label-studio", "--annotated", tmp_path / "known.json")
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"{output}: 2 of 3 different sentences (5 in all). The model expects " in done.output
    records = read_records(output, Reading(predictions=True), "label-studio")
    assert len({record["id"] for record in records}) == 2
    assert {record["id"] for record in records} <= {"1/0", "1/1", "2/0"}
    scored = [one for record in records for one in (*record["entities"], *record["relations"])]
    assert scored
    assert all(0 <= one["score"] <= 1 for one in scored)
    assert not read_records(output, Reading(), "label-studio")  # nobody annotated them yet
    (tmp_path / "pool.txt").write_text(texts[3])
    done = run("suggest", *arguments, "--annotated", tmp_path / "known.json")
    assert "expected sentences that are not annotated yet, got none among 1" in str(done.exception)


RECORDS = [record | {"id": record["id"]} for record in tiny.RECORDS]


@pytest.mark.parametrize("name", ["train.jsonl", "train.csv", "train.parquet", "train.json"])
def test_training_reads_any_format_by_its_ending(tmp_path, name, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    write_records(tmp_path / name, RECORDS)
    corpus = load_files({"train": tmp_path / name})
    assert [row["entities"] for row in corpus["train"]] == [record["entities"] for record in RECORDS]
    assert [row["tokens"] for row in corpus["train"]] == [record["tokens"] for record in RECORDS]
    assert list(types_of(corpus).relations) == ["located_in", "married_to", "works_for"]


def test_a_dataset_on_the_hub(tmp_path, monkeypatch):
    import datasets

    rows = [{name: record[name] for name in ("tokens", "entities", "relations")} for record in RECORDS]
    label = datasets.ClassLabel(names=["Place", "Person", "Organization", "Unused"])
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "entities": datasets.List(
                {"type": label, "start": datasets.Value("int32"), "end": datasets.Value("int32")}
            ),
            "relations": datasets.List(
                {
                    "type": datasets.ClassLabel(names=["works_for", "married_to", "located_in"]),
                    "head": datasets.Value("int32"),
                    "tail": datasets.Value("int32"),
                }
            ),
        }
    )
    split = datasets.Dataset.from_list(rows, features=features)
    found = datasets.DatasetDict({"train": split, "dev": split, "other": split})
    monkeypatch.setattr("datasets.load_dataset", {"org/facts": found}.__getitem__)
    corpus = load_corpus("org/facts")
    assert list(corpus) == ["train", "validation"]
    assert corpus["train"][0]["entities"] == RECORDS[0]["entities"]
    assert list(types_of(corpus).entities) == ["Place", "Person", "Organization", "Unused"]
    with pytest.raises(OSError, match="org/none: expected a dataset on the Hub that can be loaded"):
        load_corpus("org/none")
    found.pop("train"), found.pop("dev")
    with pytest.raises(ValueError, match="org/facts: expected a split out of train, validation, test, got other"):
        load_corpus("org/facts")


def test_the_document_shows_what_comes_of_a_line(root, tmp_path):
    blocks = re.findall(r"```json\n(.*?)```", (root / "docs" / "annotations.md").read_text(), re.DOTALL)
    line, task = json.loads(blocks[0]), json.loads(blocks[1])
    (tmp_path / "found.jsonl").write_text(json.dumps(line) + "\n")
    done = run("convert", tmp_path / "found.jsonl", tmp_path / "pre.json", "--to-format", "label-studio")
    assert done.exit_code == 0, done.exception
    assert json.loads((tmp_path / "pre.json").read_text()) == [task]
