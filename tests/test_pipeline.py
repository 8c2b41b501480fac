import pytest
from torch.utils.data import Dataset as TorchDataset
from transformers import pipeline

from spert.corpora.schema import FEATURES
from tests import tiny
from tests.tolerance import assert_close

TEXTS = [" ".join(words) for words in tiny.SENTENCES]


@pytest.fixture(scope="module")
def extract(saved_model):
    return pipeline("entity-relation-extraction", model=str(saved_model), trust_remote_code=True)


@pytest.fixture(scope="module")
def expected(extract):
    return [extract(text) for text in TEXTS]


def test_result_format(expected):
    result = expected[0]
    assert list(result) == ["text", "words", "entities", "relations"]
    assert result["text"] == TEXTS[0]
    assert list(result["entities"][0]) == ["type", "start", "end", "word_start", "word_end", "text", "score"]
    assert list(result["relations"][0]) == ["type", "head", "tail", "score"]
    assert result["words"][1] == [4, 8]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
def test_a_list_gives_a_list(extract, expected, batch_size):
    results = extract(TEXTS, batch_size=batch_size)
    assert isinstance(results, list)
    assert_close(results, expected)


def test_a_generator_gives_a_generator(extract, expected):
    results = extract((text for text in TEXTS), batch_size=2)
    assert not isinstance(results, list)
    assert_close(list(results), expected)


def test_datasets(extract, expected):
    from datasets import Dataset

    class Texts(TorchDataset):
        def __len__(self):
            return len(TEXTS)

        def __getitem__(self, index):
            return TEXTS[index]

    assert_close(list(extract(Texts(), batch_size=2)), expected)
    records = Dataset.from_list(tiny.RECORDS, features=FEATURES)
    assert_close(list(extract(records, batch_size=3)), expected)
    assert_close(list(extract(records["tokens"], is_split_into_words=True)), expected)
    assert_close(list(extract(Dataset.from_dict({"text": TEXTS}))), expected)


def test_words(extract, expected):
    assert_close(extract(tiny.SENTENCES, is_split_into_words=True, batch_size=2), expected)
    assert_close([extract(tiny.SENTENCES[0], is_split_into_words=True)], expected[:1])


def test_nothing_to_do(extract):
    assert extract([]) == []
    assert extract("") == {"text": "", "words": [], "entities": [], "relations": []}
    assert [result["entities"] for result in extract(["", "  "], batch_size=2)] == [[], []]


def test_threshold(extract, saved_model):
    every = extract(TEXTS[0], relation_threshold=0.0)["relations"]
    few = extract(TEXTS[0], relation_threshold=0.8)["relations"]
    assert len(every) > len(few) > 0
    assert all(relation["score"] >= 0.8 for relation in few)
    strict = pipeline(
        "entity-relation-extraction", model=str(saved_model), trust_remote_code=True, relation_threshold=0.8
    )
    assert strict(TEXTS[0])["relations"] == few


@pytest.mark.parametrize("wrong", [3, {"words": []}, [["a"]], [3]])
def test_refuses(extract, wrong):
    with pytest.raises(ValueError, match="SpertPipeline: expected"):
        extract(wrong)


def test_saves_what_loads_again(extract, expected, tmp_path):
    extract.save_pretrained(tmp_path)
    again = pipeline("entity-relation-extraction", model=str(tmp_path), trust_remote_code=True)
    assert_close(again(TEXTS), expected)
