"""Cross-validation on any corpus."""

import json

import pytest

from spert.corpora import load_corpus, types_of
from spert.corpora.duplicates import merged_entities
from tests import tiny


@pytest.fixture
def folder(tmp_path):
    records = [
        {"tokens": ["Oslo", str(number)], "entities": [{"type": "Place", "start": 0, "end": 1}], "relations": []}
        for number in range(21)
    ]
    (tmp_path / "train.json").write_text(json.dumps([*records, records[0]]))
    (tmp_path / "test.json").write_text(json.dumps(tiny.RECORDS))
    return tmp_path


def test_folds_part_all_sentences(folder):
    folds = [load_corpus(folder, fold=fold, num_folds=5) for fold in range(5)]
    tests = [{tuple(tokens) for tokens in fold["test"]["tokens"]} for fold in folds]
    assert [len(one) for one in tests] == [5, 5, 5, 5, 5]
    assert len(set().union(*tests)) == 25, "every sentence of every split is tested once"
    for fold, test in zip(folds, tests):
        assert not test & {tuple(tokens) for tokens in fold["train"]["tokens"]}, "the doubled one is on one side"
        assert sum(fold.num_rows.values()) == 26
        assert list(types_of(fold).entities) == sorted(tiny.ENTITY_TYPES)
    again = load_corpus(folder, fold=3, num_folds=5)
    assert again["test"]["tokens"][:] == folds[3]["test"]["tokens"][:]
    assert "fold 3 of 5, made by the order of SHA-256" in again["test"].info.description


def test_merged_entities_are_reported_once(folder):
    entity = {"type": "Place", "start": 0, "end": 1}
    records = [{"tokens": ["Oslo"], "entities": [entity, entity], "relations": []}, *tiny.RECORDS]
    (folder / "test.json").write_text(json.dumps(records))
    fold = load_corpus(folder, fold=0, num_folds=5)
    assert merged_entities(fold) == merged_entities(fold["train"]) == 1


@pytest.mark.parametrize("num_folds", [2, 25])
def test_there_may_be_two_folds_or_as_many_as_sentences(folder, num_folds):
    tests = [load_corpus(folder, fold=fold, num_folds=num_folds)["test"] for fold in (0, num_folds - 1)]
    assert [len(set(map(tuple, test["tokens"]))) for test in tests] == ([13, 12] if num_folds == 2 else [1, 1])


@pytest.mark.parametrize(
    ("fold", "num_folds", "message"),
    [
        (5, 5, "Expected a fold from 0 to 4, got 5"),
        (0, 1, "Expected at least 2 folds"),
        (None, 5, "expected a fold beside num_folds=5"),
        (0, None, "Say how many to cut it into with num_folds"),
        (0, 26, "expected at least 26 different sentences for the folds, got 25"),
    ],
)
def test_what_cannot_be_is_refused(folder, fold, num_folds, message):
    with pytest.raises(ValueError, match=message):
        load_corpus(folder, fold=fold, num_folds=num_folds)
