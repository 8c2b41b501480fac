import json
import subprocess
import sys

import pytest

from spert import SpertProcessor
from spert.cli import main
from spert.evaluation import compute_scores
from tests import tiny


def spert(*arguments, monkeypatch):
    """Run the command in this process; the exit code."""
    monkeypatch.setattr(sys, "argv", ["spert", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        code = spert(*arguments, monkeypatch=monkeypatch)
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return run


@pytest.fixture
def refused(monkeypatch, capsys):
    def refused(*arguments):
        assert spert(*arguments, monkeypatch=monkeypatch) != 0
        error = capsys.readouterr().err
        assert "Traceback" not in error
        return error

    return refused


@pytest.fixture
def records(tmp_path):
    path = tmp_path / "records.json"
    path.write_text(json.dumps([{**record, "orig_id": record["id"]} for record in tiny.RECORDS]))
    return path


def test_predict_to_both_formats(run, saved_model, records, tmp_path):
    run("predict", "--model", saved_model, "--input", records, "--output", tmp_path / "a.json", "--batch-size", 2)
    run("predict", "--model", saved_model, "--input", records, "--output", tmp_path / "a.jsonl", "--batch-size", 3)
    predictions = json.loads((tmp_path / "a.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [one["tokens"] for one in predictions] == tiny.SENTENCES
    assert [one["orig_id"] for one in predictions] == ["a", "b", "c", "d"]
    assert [line["text"] for line in lines] == [" ".join(words) for words in tiny.SENTENCES]
    assert any(one["relations"] for one in predictions)
    for one, line in zip(predictions, lines):
        assert list(one) == ["tokens", "entities", "relations", "orig_id"]
        assert one["entities"] == [
            {"type": entity["type"], "start": entity["word_start"], "end": entity["word_end"]}
            for entity in line["entities"]
        ]


def test_predict_ignores_gold_and_takes_texts_and_words(run, saved_model, tmp_path):
    inputs = [
        {"tokens": tiny.SENTENCES[0], "entities": "ignored"},
        tiny.SENTENCES[0],
        " ".join(tiny.SENTENCES[0]),
        {"text": " ".join(tiny.SENTENCES[0])},
        "",
    ]
    (tmp_path / "in.json").write_text(json.dumps(inputs))
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, inputs)) + "\n\n")
    for ending in ("json", "jsonl"):
        run("predict", "--model", saved_model, "--input", tmp_path / f"in.{ending}", "--output", tmp_path / "out.json")
        predictions = json.loads((tmp_path / "out.json").read_text())
        assert len(predictions) == 5
        assert all(one == predictions[0] for one in predictions[:4])
        assert predictions[4] == {"tokens": [], "entities": [], "relations": []}


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ('[{"words": []}]', "in.json", "record 0: expected a field 'tokens' or 'text', got only ['words']"),
        ("[[1]]", "in.json", "record 0: expected a text or a list of words, got [1]"),
        ('[{"tokens": [1]}, {"text": 1}]', "in.json", "record 0, field 'tokens': expected a text or a list of words"),
        ("{\n[1]", "in.jsonl", "line 1: expected JSON"),
        ("", "in.csv", "ends in .json (SpERT JSON) or .jsonl (JSON Lines)"),
    ],
)
def test_predict_refuses(refused, saved_model, tmp_path, content, name, message):
    (tmp_path / name).write_text(content)
    error = refused("predict", "--model", saved_model, "--input", tmp_path / name, "--output", tmp_path / "out.json")
    assert message in error
    assert not (tmp_path / "out.json").exists()
    error = refused("predict", "--model", saved_model, "--input", tmp_path / name, "--output", tmp_path / "out.csv")
    assert "out.csv: expected a file that ends in" in error


def test_evaluate_and_score_agree(run, saved_model, records, tmp_path):
    printed = run("evaluate", "--model", saved_model, "--dataset", records, "--output", tmp_path / "out")
    assert "Relations, strict" in printed
    assert "micro" in printed
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    predictions = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert metrics == compute_scores(tiny.RECORDS, predictions, symmetric_relations=["married_to"])
    types = tmp_path / "types.json"
    types.write_text(
        json.dumps(
            {
                "entities": {name: {} for name in tiny.ENTITY_TYPES},
                "relations": {name: {"symmetric": name in tiny.SYMMETRIC} for name in tiny.RELATION_TYPES},
            }
        )
    )
    arguments = ["--references", records, "--predictions", tmp_path / "out" / "predictions.json", "--types", types]
    run("score", *arguments, "--output", tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text()) == metrics
    run("score", *arguments, "--without-overlapping", "--output", tmp_path / "filtered.json")
    filtered = compute_scores(tiny.RECORDS, predictions, symmetric_relations=["married_to"], without_overlapping=True)
    assert json.loads((tmp_path / "filtered.json").read_text()) == filtered != metrics


def test_evaluate_from_text_and_on_given_entities(run, refused, saved_model, records, tmp_path):
    words = ["evaluate", "--model", saved_model, "--dataset", records, "--output", tmp_path]
    run(*words, "--from-text")
    from_text = json.loads((tmp_path / "metrics.json").read_text())
    assert (from_text["gold_entities"], from_text["gold_entities_off_word_borders"]) == (8, 0)
    run(*words, "--given-entities")
    predictions = json.loads((tmp_path / "predictions.json").read_text())
    assert [one["entities"] for one in predictions] == [record["entities"] for record in tiny.RECORDS]
    assert "expected from_text or given_entities, got both" in refused(*words, "--from-text", "--given-entities")


def test_score_refuses_other_sentences(refused, records, tmp_path):
    swapped = json.loads(records.read_text())[::-1]
    (tmp_path / "swapped.json").write_text(json.dumps(swapped))
    error = refused("score", "--references", records, "--predictions", tmp_path / "swapped.json")
    assert "record 0, field 'tokens': expected the words of" in error
    (tmp_path / "short.json").write_text(json.dumps(swapped[:1]))
    error = refused("score", "--references", records, "--predictions", tmp_path / "short.json")
    assert "one record for each of the 4 of" in error


def test_evaluate_refuses_unknown_types_and_splits(refused, saved_model, records, tmp_path):
    other = json.loads(records.read_text().replace('"Place"', '"Ship"'))
    (tmp_path / "other.json").write_text(json.dumps(other))
    error = refused("evaluate", "--model", saved_model, "--dataset", tmp_path / "other.json")
    assert (
        "types that the model does not know: ['Ship']; types of the model that the dataset does not have: ['Place']"
        in error
    )
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "train.json").write_text(records.read_text())
    error = refused("evaluate", "--model", saved_model, "--dataset", tmp_path / "corpus")
    assert "--split: expected one of train, got 'test'" in error


def test_convert(run, golden, tmp_path):
    folder = tmp_path / "converted"
    arguments = ["--types", golden / "types.json", "--output", folder, "--lowercase"]
    printed = run("convert", "--checkpoint", golden / "original_checkpoint", *arguments)
    assert "3 entity and 3 relation types" in printed
    run("predict", "--model", folder, "--input", golden / "inputs.json", "--output", tmp_path / "out.jsonl")
    expected = json.loads((golden / "expected_inference.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [len(line["relations"]) for line in lines] == [len(one["relations"]) for one in expected]


def test_convert_learns_the_words_of_a_corpus(run, golden, tmp_path):
    corpus = tmp_path / "corpus.json"
    sentence = ["He", "left", "on", "Nov.", "3", ",", "with", "Mr.", "Park", "."]
    entities = [{"type": "Person", "start": 8, "end": 9}]
    corpus.write_text(json.dumps([{"tokens": sentence, "entities": entities, "relations": []}] * 3))
    words = ["--checkpoint", golden / "original_checkpoint", "--types", golden / "types.json", "--lowercase"]
    for name, flags in (("plain", []), ("learned", ["--corpus", corpus])):
        run("convert", *words, "--output", tmp_path / name, *flags)
        processor = SpertProcessor.from_pretrained(tmp_path / name)
        text, ranges = (
            "Mr. Park left on Nov. 3.",
            processor("Mr. Park left on Nov. 3.", sentences=False).sentences[0].words,
        )
        split = [text[start:end] for start, end in ranges]
        assert ("Mr." in split and "Nov." in split) == (name == "learned")
        assert split[-1] == "."


def test_evaluate_on_real_data(run, data_dir, tmp_path):
    """Only that it runs there: an untrained model's scores mean nothing."""
    from spert.training.output import save_model

    entity_types = ["Loc", "Org", "Peop", "Other"]
    relation_types = ["Work_For", "Kill", "OrgBased_In", "Live_In", "Located_In"]
    model = tiny.model(
        "deberta-v2", entity_types=entity_types, relation_types=relation_types, symmetric_relations=[], max_span_width=2
    )
    save_model(tmp_path, model, tiny.processor("deberta-v2"))
    printed = run(
        "evaluate",
        "--model",
        tmp_path,
        "--dataset",
        "conll04",
        "--data-dir",
        data_dir / "conll04",
        "--split",
        "validation",
    )
    assert "231 sentences" in printed


def test_help_is_quick_to_read():
    done = subprocess.run([sys.executable, "-m", "spert", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("convert", "predict", "evaluate", "score"):
        assert command in done.stdout
