"""Scores of a model that is given text: which text, and what counts as found in it."""

import pytest
from datasets import Dataset

from spert.evaluation import evaluator
from tests import tiny

RECORDS = [
    {
        "id": "own",
        "tokens": ["Ada", "Park", "(", "Oslo", ")", "-", "based"],
        "entities": [{"type": "Person", "start": 0, "end": 2}, {"type": "Place", "start": 3, "end": 4}],
        "relations": [{"type": "located_in", "head": 0, "tail": 1}],
        "text": "Ada  Park (Oslo)-based",
        "words": [[0, 3], [5, 9], [10, 11], [11, 15], [15, 16], [16, 17], [17, 22]],
    },
    {
        "id": "none",
        "tokens": ["Tom", ",", "of", "Oslo"],
        "entities": [{"type": "Person", "start": 0, "end": 1}, {"type": "Place", "start": 3, "end": 4}],
        "relations": [],
        "text": None,
        "words": None,
    },
]


@pytest.fixture
def seen(monkeypatch):
    """The texts that the model is given. It finds the three names, where they stand on borders of words."""
    texts = []

    def predict(model, processor, inputs, batch_size):
        given = [record["text"] for record in inputs]
        texts.extend(given)
        results = []
        for text, encoded in zip(given, processor.encode_documents(inputs)):
            words = encoded.document.words
            starts, ends = [start for start, _ in words], [end for _, end in words]
            entities = []
            for kind, name in (("Person", "Ada  Park"), ("Person", "Tom"), ("Place", "Oslo")):
                start = text.find(name)
                if start in starts and start + len(name) in ends:
                    entity = {"type": kind, "start": start, "end": start + len(name)}
                    entity |= {"word_start": starts.index(start), "word_end": ends.index(start + len(name)) + 1}
                    entities.append(entity)
            relations = [{"type": "located_in", "head": 0, "tail": 1}] if "Ada" in text else []
            results.append({"text": text, "words": words, "entities": entities, "relations": relations})
        return results

    monkeypatch.setattr(evaluator, "predict", predict)
    return texts


def scores_from_text(records):
    model, processor = tiny.model("bert"), tiny.processor("bert")
    return evaluator.evaluate_model(model, processor, Dataset.from_list(records), from_text=True)


def test_text_is_the_records_own_or_else_its_words(seen):
    scores, predictions = scores_from_text(RECORDS)
    assert sorted(seen) == ["Ada  Park (Oslo)-based", "Tom , of Oslo"]
    assert scores["ner_micro_f1"] == scores["rel_strict_micro_f1"] == 1.0
    assert (scores["gold_entities"], scores["gold_entities_off_word_borders"]) == (4, 0)
    assert predictions[0]["tokens"] == ["Ada", "Park", "(", "Oslo", ")", "-", "based"]


def test_entities_that_end_inside_of_a_word_of_their_own_text_are_counted(seen):
    record = RECORDS[1] | {
        "tokens": ["Tom", "Oslo", "-", "born"],
        "entities": [{"type": "Person", "start": 0, "end": 1}, {"type": "Place", "start": 1, "end": 2}],
        "text": "Tom Oslo-born",
        "words": [[0, 3], [4, 8], [8, 9], [9, 13]],
    }
    scores, predictions = scores_from_text([record])
    assert predictions[0]["tokens"] == ["Tom", "Oslo-born"]
    assert (scores["gold_entities"], scores["gold_entities_off_word_borders"]) == (2, 1)
    assert (scores["ner_micro_precision"], scores["ner_micro_recall"]) == (1.0, 0.5)
