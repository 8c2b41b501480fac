"""Many documents at once and as a stream."""

import threading
from pathlib import Path

import pytest
import torch

from spert import SpertProcessor
from spert.prediction import Refused, evaluation_mode, predict, predict_stream
from tests import tiny
from tests.tolerance import assert_close

DOCUMENT = "Ada Park joined Northwind Labs in Oslo. Nobody came. Maria met Tom in Quito."
GIVEN = {"text": DOCUMENT, "entities": [{"start": 0, "end": 8, "type": "Person"}, {"start": 34, "end": 38}]}


@pytest.fixture(scope="module")
def loaded():
    return tiny.choosy_model("bert"), tiny.processor("bert")


def test_documents_words_and_records_together(loaded):
    texts = [DOCUMENT, tiny.SENTENCES[0], {"text": DOCUMENT}, {"tokens": tiny.SENTENCES[0]}, GIVEN, "", tiny.RECORDS[2]]
    results = predict(*loaded, texts, batch_size=3)
    assert_close(results[2], results[0])
    assert_close(results[3], results[1])
    assert [entity["text"] for entity in results[4]["entities"]] == ["Ada Park", "Oslo"]
    assert results[5] == {"text": "", "words": [], "sentences": [], "entities": [], "relations": []}
    assert_close(results[6], predict(*loaded, [tiny.SENTENCES[2]])[0])
    for text, result in zip(texts, results):
        assert_close(predict(*loaded, [text])[0], result)
    assert_close(list(predict_stream(*loaded, texts, batch_size=2, look_ahead=2)), results)
    assert predict(*loaded, []) == []


def test_a_document_equals_its_sentences():
    loaded = tiny.model("bert"), tiny.processor("bert")
    (result,) = predict(*loaded, [DOCUMENT])
    alone = predict(*loaded, [DOCUMENT[start:end] for start, end in result["sentences"]], sentences=False)
    assert [entity["text"] for entity in result["entities"]] == [e["text"] for one in alone for e in one["entities"]]
    assert_close(
        [relation["score"] for relation in result["relations"]],
        [relation["score"] for one in alone for relation in one["relations"]],
    )
    assert len(result["entities"]) > 3


def test_the_projects_own_pages(loaded):
    """Real text of many pages is read to its end."""
    root = Path(__file__).parent.parent
    for name in ("LICENSE", "docs/architecture.md", "docs/log.md"):
        text = (root / name).read_text()
        (result,) = predict(*loaded, [text], relation_threshold=1.0)
        assert len(result["sentences"]) > 15
        assert text[result["words"][-1][0] : result["words"][-1][1]] == text.split()[-1][-1]
        reached = 0
        for start, end in result["sentences"]:
            assert not text[reached:start].strip()
            reached = end
        assert not text[reached:].strip()
        for entity in result["entities"]:
            assert text[entity["start"] : entity["end"]] == entity["text"]
            start, end = result["sentences"][entity["sentence"]]
            assert start <= entity["start"] < entity["end"] <= end


def test_options_reach_decoding():
    loaded = tiny.model("bert"), tiny.processor("bert")
    (everything,) = predict(*loaded, [DOCUMENT])
    scores = sorted(entity["score"] for entity in everything["entities"])
    options = {"relation_threshold": 0.9, "entity_threshold": scores[len(scores) // 2], "overlapping_entities": "none"}
    (result,) = predict(*loaded, [DOCUMENT], **options)
    assert 0 < len(result["entities"]) < len(scores)
    assert all(one["score"] >= options["entity_threshold"] for one in result["entities"])
    assert all(one["score"] >= 0.9 for one in result["relations"])
    (everything,) = predict_stream(*loaded, [DOCUMENT], return_all_scores=True)
    assert "pairs" in everything
    for call in (predict, predict_stream):
        with pytest.raises(ValueError, match="overlapping_entities: expected one of all, nested, none, got 'some'"):
            call(*loaded, [DOCUMENT], overlapping_entities="some")
        with pytest.raises(TypeError, match="threshold"):
            call(*loaded, [DOCUMENT], threshold=0.5)


@pytest.mark.parametrize("call", [predict, predict_stream])
@pytest.mark.parametrize("wrong", ["Ada Park of Oslo", {"text": "Oslo"}, None, 3, b"Oslo"])
def test_a_single_text_is_refused(loaded, call, wrong):
    with pytest.raises(ValueError, match=r"expected a list of texts, lists of words or records, got .*\[text\]"):
        call(*loaded, wrong)


def test_errors_name_the_text(loaded):
    texts = ["Oslo", "Ada", ["-" * 200]]
    with pytest.raises(ValueError, match=r"SpertProcessor: text 2: word 0 .* has 200 pieces by itself"):
        predict(*loaded, texts)
    with pytest.raises(ValueError, match="text 1: expected a text, a list of words or a record, got 'None'"):
        predict(*loaded, ["Oslo", None])
    with pytest.raises(ValueError, match="text 1: expected text that can be written as UTF-8"):
        predict(*loaded, ["Oslo", "\ud800"])
    with pytest.raises(ValueError, match=r"text 1: entity 0 .*expected a type out of"):
        predict(*loaded, ["Oslo", {"text": "Ada", "entities": [{"start": 0, "end": 3, "type": "Planet"}]}])


def test_refusals_in_a_stream_do_not_claim_a_place(loaded):
    results = list(predict_stream(*loaded, ["Oslo", None, "\ud800", ["-" * 200], {}, "Ada"], batch_size=2))
    reasons = [result.reason for result in results[1:5]]
    assert all(isinstance(result, Refused) for result in results[1:5])
    assert not any("text 0" in reason or "sentence 0" in reason for reason in reasons)
    assert reasons[0].startswith("SpertProcessor: expected a text, a list of words or a record, got 'None'")
    assert "lone surrogate" in reasons[1]
    assert "pieces by itself" in reasons[2]
    assert "expected a record with 'tokens'" in reasons[3]
    assert [results[0]["text"], results[5]["text"]] == ["Oslo", "Ada"]


def test_a_long_document_counts_as_many_sentences_when_reading_ahead(loaded):
    taken = []

    def documents():
        for number in range(20):
            taken.append(number)
            yield "Nobody came. " * 40

    stream = predict_stream(*loaded, documents(), batch_size=4, look_ahead=2)
    next(stream)
    assert len(taken) <= 6  # two windows of eight sentences or a little more
    stream.close()


class TestMode:
    def test_each_module_keeps_its_own(self):
        model, processor = tiny.model("bert"), tiny.processor("bert")
        model.train()
        model.encoder.eval()
        modes = {name: module.training for name, module in model.named_modules()}
        assert len(set(modes.values())) == 2
        predict(model, processor, ["Oslo"])
        assert {name: module.training for name, module in model.named_modules()} == modes

    def test_restored_after_an_error(self, monkeypatch):
        model, processor = tiny.model("bert").train(), tiny.processor("bert")
        monkeypatch.setattr(SpertProcessor, "pad", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            predict(model, processor, ["Oslo"])
        assert all(module.training for module in model.modules())

    def test_the_last_thread_restores(self):
        model = tiny.model("bert").train()
        inside, leave = threading.Event(), threading.Event()

        def other():
            with evaluation_mode(model):
                inside.set()
                leave.wait(timeout=30)

        thread = threading.Thread(target=other)
        thread.start()
        inside.wait(timeout=30)
        with evaluation_mode(model):
            assert not any(module.training for module in model.modules())
        assert not any(module.training for module in model.modules()), "the other thread is still at work"
        leave.set()
        thread.join()
        assert all(module.training for module in model.modules())

    def test_two_threads_get_what_one_gets(self):
        model, processor = tiny.choosy_model("bert").train(), tiny.processor("bert")
        expected = predict(model, processor, [DOCUMENT])
        results = [None, None]

        def run(number):
            torch.set_num_threads(1)
            results[number] = [predict(model, processor, [DOCUMENT])[0] for _ in range(10)]

        threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for found in results:
            assert_close(found, expected * 10)
        assert model.training
