"""`spert predict` on documents, with given entities, and with every option of what counts as found."""

import json

import pyarrow.parquet as pq
import pytest

from spert.extraction.choices import arguments_of, numbers_of
from spert.extraction.records import line_ranges, sentence_of
from spert.prediction import predict
from spert.training.output import save_model
from tests import tiny
from tests.extracting import lines, names_in, predict_files, written
from tests.tolerance import assert_close

DOCUMENT = "Ada Park joined Northwind Labs\nin Oslo. Nobody came.\n\nMaria met Tom in Quito."
LONG = "Ada Park joined Northwind Labs " + ("q" * 20 + " ") * 12 + "Maria met Tom in Quito ."


@pytest.fixture(scope="module")
def loaded():
    """A model that finds some entities in the document, and not nearly every span of a long one."""
    model, processor = tiny.model("bert"), tiny.processor("bert")
    while len(predict(model, processor, [DOCUMENT])[0]["entities"]) > 15:
        model.span_classifier.linear.bias.data[0] += 0.25
    return model, processor


@pytest.fixture(scope="module")
def choosy(loaded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("choosy") / "model"
    save_model(folder, *loaded)
    return folder


def extract(model, tmp_path, records, *flags, ending="jsonl", **kwargs):
    target = tmp_path / f"out.{ending}"
    predict_files(model, written(tmp_path / "in.jsonl", records), target, *flags, **kwargs)
    if ending == "parquet":
        return pq.read_table(target).to_pylist(maps_as_pydicts="strict")
    return lines(target)


def without(result, *names):
    return {name: value for name, value in result.items() if name not in names}


def test_a_record_a_document(choosy, loaded, tmp_path):
    records = [{"id": 1, "text": DOCUMENT}, DOCUMENT, {"id": 2, "text": LONG}, {"tokens": tiny.SENTENCES[0]}]
    expected = predict(*loaded, [DOCUMENT, DOCUMENT, LONG, tiny.SENTENCES[0]])
    assert len(expected[0]["sentences"]) == 3
    assert expected[2]["windows"] > 1
    found = extract(choosy, tmp_path, records, "--batch-size", 3, "--shard-size", 3)
    assert [one.pop("id", None) for one in found] == [1, None, 2, None]
    assert_close(found, expected)
    rows = extract(choosy, tmp_path, records, ending="parquet")
    for row, wanted in zip(rows, expected):
        assert row["sentences"] == wanted.get("sentences")
        assert row["windows"] == wanted.get("windows")
        assert [entity["sentence"] for entity in row["entities"]] == [
            entity.get("sentence") for entity in wanted["entities"]
        ]


def test_how_a_text_becomes_sentences(choosy, loaded, tmp_path):
    own = [[0, 39], [55, 77]]
    records = [{"text": DOCUMENT}, {"text": DOCUMENT, "sentences": own}, tiny.SENTENCES[0]]

    def sentences(*flags):
        return [one.get("sentences") for one in extract(choosy, tmp_path, records, *flags)]

    found = predict(*loaded, [DOCUMENT])[0]["sentences"]
    assert sentences() == [found, own, None]
    assert sentences("--sentences", "found") == [found, found, None]
    assert sentences("--sentences", "one") == [[[0, len(DOCUMENT)]]] * 2 + [None]
    assert sentences("--sentences", "line") == [[[0, 30], [31, 52], [54, 77]]] * 2 + [None]
    assert line_ranges(" \r\n a b \rc\n\n") == [(4, 7), (9, 10)]


def test_a_sentence_that_is_too_long(choosy, tmp_path):
    found = extract(choosy, tmp_path, [DOCUMENT, {"text": LONG, "id": 7}], "--on-overflow", "error")
    assert [one["text"] for one in found] == [DOCUMENT]
    (refused,) = lines(tmp_path / "out.jsonl.errors.jsonl")
    assert "in.jsonl, line 2: the sentence ('Ada Park" in refused["reason"]
    assert refused["entry"]["id"] == 7


def test_several_sentences_a_window(choosy, loaded, tmp_path):
    expected = predict(*loaded, [DOCUMENT], sentences_per_window=2)
    assert "windows" in expected[0]
    assert_close(extract(choosy, tmp_path, [DOCUMENT], "--sentences-per-window", 2), expected)


class TestGivenEntities:
    record = {
        "text": DOCUMENT,
        "entities": [{"type": "Person", "start": 0, "end": 8}, {"start": 72, "end": 77}],
        "relations": [{"head": 0, "tail": 1, "type": "works_for"}],
    }
    spert = {
        "tokens": tiny.SENTENCES[0],
        "entities": [{"type": "Person", "start": 0, "end": 2}, {"type": "Place", "start": 6, "end": 7}],
        "relations": [],
    }

    def test_they_are_the_results(self, choosy, loaded, tmp_path):
        by_words = {"tokens": tiny.SENTENCES[0], "entities": [{"word_start": 3, "word_end": 5}]}
        records = [self.record | {"entities": self.record["entities"][:1]}, self.spert, by_words, {"text": DOCUMENT}]
        found = extract(choosy, tmp_path, records, "--given-entities")
        spans = [[(entity["word_start"], entity["word_end"]) for entity in one["entities"]] for one in found]
        assert spans[:3] == [[(0, 2)], [(0, 2), (6, 7)], [(3, 5)]]
        assert [entity["type"] for entity in found[1]["entities"]] == ["Person", "Place"]
        assert_close(found[3], predict(*loaded, [DOCUMENT])[0])

    def test_without_the_flag_gold_is_not_read(self, choosy, loaded, tmp_path):
        bad = {"text": DOCUMENT, "entities": "gold", "relations": 3}
        found = extract(choosy, tmp_path, [self.record, self.spert, bad])
        assert_close(found, predict(*loaded, [DOCUMENT, tiny.SENTENCES[0], DOCUMENT]))

    def test_results_can_be_given_again(self, choosy, tmp_path):
        for ending in ("jsonl", "parquet"):
            predict_files(choosy, written(tmp_path / "in.jsonl", [DOCUMENT]), tmp_path / f"first.{ending}")
            source, target = tmp_path / f"first.{ending}", tmp_path / "second.jsonl"
            predict_files(choosy, source, target, "--given-entities")
            (first,), (second,) = lines(tmp_path / "first.jsonl"), lines(target)
            spans = [[(one["start"], one["end"], one["type"]) for one in both["entities"]] for both in (first, second)]
            assert spans[0] == spans[1]
            assert spans[0]

    def test_one_that_cuts_a_word(self, choosy, tmp_path):
        records = [DOCUMENT, {"text": DOCUMENT, "entities": [{"start": 0, "end": 6}]}]
        extract(choosy, tmp_path, records, "--given-entities")
        (refused,) = lines(tmp_path / "out.jsonl.errors.jsonl")
        assert "in.jsonl, line 2: entity 0 ('Ada Pa'): expected a span that begins and ends with" in refused["reason"]


class TestWhatCountsAsFound:
    def test_every_option_reaches_decoding(self, choosy, loaded, tmp_path):
        arguments = {"works_for": [["Person", "Organization"]], "located_in": []}
        (tmp_path / "arguments.json").write_text(json.dumps(arguments))
        (everything,) = predict(*loaded, [DOCUMENT])
        scores = sorted(entity["score"] for entity in everything["entities"])
        least, kind = scores[len(scores) // 2], everything["entities"][0]["type"]
        for flags, options in (
            (["--relation-threshold", "0.9"], {"relation_threshold": 0.9}),
            (
                ["--relation-threshold", "works_for=0.9", "--relation-threshold", "located_in=0"],
                {"relation_threshold": {"works_for": 0.9, "located_in": 0.0}},
            ),
            (["--entity-threshold", str(least)], {"entity_threshold": least}),
            (["--entity-threshold", json.dumps({kind: 1})], {"entity_threshold": {kind: 1}}),
            (["--relation-arguments", tmp_path / "arguments.json"], {"relation_arguments": arguments}),
            (["--relation-arguments", json.dumps(arguments)], {"relation_arguments": arguments}),
            (["--overlapping-entities", "none"], {"overlapping_entities": "none"}),
            (["--temperature", "2"], {"temperature": 2.0}),
            (["--temperature", "entities=3"], {"temperature": {"entities": 3.0}}),
        ):
            (expected,) = predict(*loaded, [DOCUMENT], **options)
            assert expected != everything, options
            assert_close(extract(choosy, tmp_path, [DOCUMENT], *flags), [expected])

    def test_all_scores(self, choosy, loaded, tmp_path):
        (expected,) = predict(*loaded, [DOCUMENT], return_all_scores=True)
        assert expected["pairs"]
        assert_close(extract(choosy, tmp_path, [DOCUMENT], "--all-scores"), [expected])
        (row,) = extract(choosy, tmp_path, [DOCUMENT], "--all-scores", ending="parquet")
        assert_close(row["pairs"], expected["pairs"])
        assert_close(row["entities"], expected["entities"])
        target = tmp_path / "out.json"
        error = predict_files(choosy, tmp_path / "in.jsonl", target, "--all-scores", code=1)
        assert "expected .jsonl or .parquet with --all-scores" in error

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--relation-threshold", "Planet=0.5"], "relation_threshold: expected names out of ['works_for'"),
            (["--entity-threshold", "7"], "entity_threshold: expected a number from 0 to 1, got 7.0"),
            (["--temperature", "0"], "expected a finite number above 0"),
            (["--relation-arguments", '{"works_for": 3}'], "expected a list of pairs [head type, tail type], got 3"),
            (["--relation-threshold", "much"], "--relation-threshold: expected one number, or NAME=NUMBER"),
            (
                ["--relation-arguments", "none.json"],
                "or a file that holds one, got 'none.json'",
            ),
        ],
    )
    def test_a_wrong_option_leaves_nothing_behind(self, choosy, tmp_path, flags, message):
        source, target = written(tmp_path / "in.jsonl", [DOCUMENT]), tmp_path / "out.jsonl"
        assert message in predict_files(choosy, source, target, *flags, code=1)
        assert names_in(tmp_path) == ["in.jsonl"]
        predict_files(choosy, source, target)

    def test_numbers(self, tmp_path):
        assert numbers_of("--x", None) is None
        assert numbers_of("--x", ["a=b=0.5"]) == {"a=b": 0.5}
        for words in (["0.5", "0.6"], ["0.5", "a=1"], ["a=1", "a=2"], ["=1"], ["a="], ["a=x"]):
            with pytest.raises(ValueError, match="--x: expected one number, or NAME=NUMBER once for each name"):
                numbers_of("--x", words)
        with pytest.raises(ValueError, match="--x: expected JSON"):
            numbers_of("--x", ["{"])
        (tmp_path / "list.json").write_text("[]")
        with pytest.raises(ValueError, match=r"--x: expected a JSON object in .*list.json, got list"):
            arguments_of("--x", str(tmp_path / "list.json"))


def test_what_is_read_of_an_entry():
    assert sentence_of({"tokens": None, "text": "Oslo"}) == "Oslo"
    assert sentence_of({"tokens": ["Oslo"], "text": "Quito"}) == ["Oslo"]
    assert sentence_of({"tokens": ["Oslo"], "sentences": [[0, 1]]}, sentences="one") == ["Oslo"]
    beside = {"context_before": ["Ada"], "context_after": None}
    assert sentence_of({"tokens": ["Oslo"], **beside}) == {"tokens": ["Oslo"], "context_before": ["Ada"]}
    assert sentence_of({"text": "Oslo", "context_after": "Ada"})["context_after"] == "Ada"
    assert sentence_of("Oslo", sentences="one") == {"text": "Oslo", "sentences": False, "entities": None}
