import itertools

import pytest
from torch.utils.data import Dataset as TorchDataset
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset

from spert import SpertPipeline
from spert.corpora.columns import FEATURES
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
    assert list(result) == ["text", "words", "sentences", "entities", "relations"]
    assert result["text"] == TEXTS[0]
    keys = ["type", "start", "end", "word_start", "word_end", "text", "score", "sentence"]
    assert list(result["entities"][0]) == keys
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
    assert_close(list(extract(records, batch_size=3)), as_of_words(expected))
    assert_close(list(extract(records["tokens"], is_split_into_words=True)), as_of_words(expected))
    texts = Dataset.from_dict({"text": TEXTS})
    assert_close(list(extract(texts)), expected)
    assert_close(list(extract(KeyDataset(texts, "text"), batch_size=3)), expected)


def as_of_words(results):
    """The results of texts as those of their words, which are one sentence by themselves."""
    return [
        {name: value for name, value in result.items() if name != "sentences"}
        | {"entities": [{k: v for k, v in entity.items() if k != "sentence"} for entity in result["entities"]]}
        for result in results
    ]


def test_words(extract, expected):
    assert_close(extract(tiny.SENTENCES, is_split_into_words=True, batch_size=2), as_of_words(expected))
    assert_close([extract(tiny.SENTENCES[0], is_split_into_words=True)], as_of_words(expected[:1]))


def test_options_of_the_constructor_count_like_those_of_a_call(saved_model, expected):
    of_words = pipeline(
        "entity-relation-extraction", model=str(saved_model), trust_remote_code=True, is_split_into_words=True
    )
    assert_close(of_words(tiny.SENTENCES[0]), as_of_words(expected)[0])
    assert_close(of_words(tiny.SENTENCES), as_of_words(expected))


def test_of_a_loaded_model_and_processor(expected):
    extract = SpertPipeline(model=tiny.model("bert"), processor=tiny.processor("bert"))
    assert_close(extract(TEXTS, batch_size=2), expected)


DOCUMENT = "Ada Park joined Northwind Labs in Oslo. Nobody came. Maria met Tom in Quito."
SENTENCES = [[0, 39], [40, 52], [53, 76]]


def shifted(results, sentences):
    """What the result of a document should be: that of its sentences, put together."""
    entities, relations, words = [], [], []
    for index, (result, (start, _)) in enumerate(zip(results, sentences)):
        relations += [
            one | {"head": one["head"] + len(entities), "tail": one["tail"] + len(entities)}
            for one in result["relations"]
        ]
        entities += [
            one
            | {"start": one["start"] + start, "end": one["end"] + start, "sentence": index}
            | {"word_start": one["word_start"] + len(words), "word_end": one["word_end"] + len(words)}
            for one in result["entities"]
        ]
        words += [[first + start, last + start] for first, last in result["words"]]
    return words, entities, relations


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_a_document_gives_the_results_of_its_sentences_shifted(extract, batch_size):
    alone = extract([DOCUMENT[start:end] for start, end in SENTENCES])
    result = extract(DOCUMENT, batch_size=batch_size)
    assert list(result) == ["text", "words", "sentences", "entities", "relations"]
    assert result["text"] == DOCUMENT
    assert result["sentences"] == SENTENCES
    words, entities, relations = shifted(alone, SENTENCES)
    assert len({entity["sentence"] for entity in entities}) == 3
    assert_close(result["words"], words)
    assert_close(result["entities"], entities)
    assert_close(result["relations"], relations)
    for entity in result["entities"]:
        assert DOCUMENT[entity["start"] : entity["end"]] == entity["text"]


def test_documents_of_several_lengths_in_a_batch(extract, expected):
    texts = [DOCUMENT, TEXTS[0], "", DOCUMENT]
    results = extract(texts, batch_size=3)
    assert_close(results, [extract(DOCUMENT), expected[0], extract(""), extract(DOCUMENT)])


def test_batch_size_bounds_the_sentences_of_a_pass(extract, monkeypatch):
    sizes = []
    pad = type(extract.processor).pad
    monkeypatch.setattr(
        type(extract.processor), "pad", lambda self, rows, *rest: sizes.append(len(rows)) or pad(self, rows, *rest)
    )

    def sizes_of(task):
        sizes.clear()
        task()
        return list(sizes)

    document = "Nobody came. " * 40
    assert sizes_of(lambda: extract(document)) == [16, 16, 8]
    assert sizes_of(lambda: extract(document, batch_size=30)) == [30, 10]
    assert sizes_of(lambda: extract([DOCUMENT] * 4, batch_size=4)) == [4, 4, 4]
    made = SpertPipeline(model=extract.model, processor=extract.processor, batch_size=30)
    assert sizes_of(lambda: made(document)) == [30, 10]


def test_the_callers_sentences(extract):
    halves = [[0, 39], [40, 76]]
    expected = extract({"text": DOCUMENT, "sentences": halves})
    assert expected["sentences"] == halves
    assert_close(extract(DOCUMENT, sentences=halves), expected)
    assert_close(extract([DOCUMENT], sentences=lambda text: [(0, 39), (40, len(text))]), [expected])
    whole = extract(DOCUMENT, sentences=False)
    assert whole["sentences"] == [[0, 76]]
    assert whole["words"] == expected["words"]
    with pytest.raises(ValueError, match="expected one text beside `sentences` as a list of ranges"):
        extract([DOCUMENT, DOCUMENT], sentences=halves)


def test_given_entities(extract):
    given = [{"start": 16, "end": 30}, {"start": 0, "end": 8, "type": "Person"}]
    result = extract({"text": DOCUMENT, "entities": given})
    assert [entity["text"] for entity in result["entities"]] == ["Northwind Labs", "Ada Park"]
    assert result["entities"][1]["type"] == "Person"
    assert result["relations"]
    words = extract({"tokens": tiny.SENTENCES[0], "entities": [{"word_start": 6, "word_end": 7}]})
    assert [entity["text"] for entity in words["entities"]] == ["Oslo"]
    mixed = extract([DOCUMENT, {"text": DOCUMENT, "entities": given}, {"text": DOCUMENT, "entities": []}], batch_size=3)
    assert_close(mixed[:2], [extract(DOCUMENT), result])
    assert mixed[2]["entities"] == []
    with pytest.raises(ValueError, match=r"entity 0 \('Ada Park'\): expected a type out of Person.*got 'Planet'"):
        extract({"text": DOCUMENT, "entities": [{"start": 0, "end": 8, "type": "Planet"}]})


def test_what_counts_as_found(extract, saved_model):
    options = {"entity_threshold": 0.6, "overlapping_entities": "none", "relation_threshold": {"works_for": 0.9}}
    found = extract(TEXTS[0], **options)
    assert found["entities"]
    assert all(entity["score"] >= 0.6 for entity in found["entities"])
    for one, other in itertools.pairwise(found["entities"]):
        assert one["end"] <= other["start"]
    made = pipeline("entity-relation-extraction", model=str(saved_model), trust_remote_code=True, **options)
    assert_close(made(TEXTS[0]), found)
    cold = extract(TEXTS[0], temperature=0.01)["entities"]
    assert sum(entity["score"] > 0.99 for entity in cold) > len(cold) / 2
    arguments = {name: [["Person", "Place"]] for name in tiny.RELATION_TYPES}
    joined = extract(TEXTS[0], relation_arguments=arguments)
    types = [entity["type"] for entity in joined["entities"]]
    assert {frozenset((types[one["head"]], types[one["tail"]])) for one in joined["relations"]} <= {
        frozenset(("Person", "Place"))
    }
    with pytest.raises(ValueError, match="relation_threshold: expected a number from 0 to 1, got 7"):
        extract(TEXTS[0], relation_threshold=7)
    with pytest.raises(ValueError, match=r"entity_threshold: expected names out of .*got 'Planet'"):
        pipeline(
            "entity-relation-extraction",
            model=str(saved_model),
            trust_remote_code=True,
            entity_threshold={"Planet": 0.1},
        )


def test_all_scores(extract):
    result = extract(DOCUMENT, return_all_scores=True)
    plain = extract(DOCUMENT)
    for entity, other in zip(result["entities"], plain["entities"]):
        scores = entity.pop("scores")
        assert list(scores) == ["no_entity", *tiny.ENTITY_TYPES]
        assert sum(scores.values()) == pytest.approx(1, abs=1e-4)
        assert scores[entity["type"]] == entity["score"] == max(scores.values())
        assert_close(entity, other)
    pairs = {(pair["head"], pair["tail"]): pair["scores"] for pair in result.pop("pairs")}
    counts = [sum(entity["sentence"] == index for entity in plain["entities"]) for index in range(3)]
    assert len(pairs) == sum(count * (count - 1) for count in counts)
    for relation in result["relations"]:
        if relation["type"] != "married_to":  # a symmetric one may have been turned
            assert pairs[relation["head"], relation["tail"]][relation["type"]] == relation["score"]
    assert_close(result["relations"], plain["relations"])


def test_nothing_to_do(extract):
    assert extract([]) == []
    assert extract("") == {"text": "", "words": [], "sentences": [], "entities": [], "relations": []}
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


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "SpertProcessor: expected a text, got '3' .int"),
        ({"words": []}, r"expected a record with 'tokens' .words. or 'text', got the keys \['words'\]"),
        ([["a"]], "expected a text, got .* For words use is_split_into_words=True"),
        ([3], "expected a text, got '3'"),
    ],
)
def test_refuses(extract, wrong, message):
    with pytest.raises(ValueError, match=message):
        extract(wrong)


def test_saves_what_loads_again(extract, expected, tmp_path):
    extract.save_pretrained(tmp_path)
    again = pipeline("entity-relation-extraction", model=str(tmp_path), trust_remote_code=True)
    assert_close(again(TEXTS), expected)
