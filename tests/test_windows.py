"""Windows: sentences that are longer than the encoder takes, and several sentences read together."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spert import SpertProcessor
from spert.decoding_spert import DecodedEntity, DecodedPair, DecodedRelation, DecodedSentence
from spert.options_spert import DecodingOptions
from spert.prediction import predict
from spert.results_spert import merge_windows
from spert.windows_spert import Window, cover, windows_of_sentences, windows_of_words
from tests import tiny
from tests.tolerance import assert_close

OPTIONS = DecodingOptions(["A", "B"], ["r", "s"], ["s"])


@pytest.fixture(scope="module")
def model():
    return tiny.choosy_model("bert", max_span_width=3)


@pytest.fixture(scope="module")
def eager_model():
    """Calls every span an entity, so that there is something to merge whatever pieces the tokenizer has."""
    made = tiny.model("bert", max_span_width=3)
    with torch.no_grad():
        made.span_classifier.linear.bias[0] -= 1000.0
    return made


def processor(max_pieces):
    return SpertProcessor(tiny.tokenizer("bert"), max_pieces=max_pieces)


class TestCover:
    @pytest.mark.parametrize(
        ("sizes", "limits", "expected"),
        [
            ([], (8, 2), [(0, 0)]),
            ([1] * 8, (8, 2), [(0, 8)]),
            ([1] * 9, (8, 2), [(0, 8), (6, 9)]),
            ([1] * 20, (8, 2), [(0, 8), (6, 14), (12, 20)]),
            ([1] * 6, (4, 0), [(0, 4), (4, 6)]),
            ([3, 3, 3, 3], (8, 2), [(0, 2), (2, 4)]),  # nothing small enough to be shared
            ([8, 1, 8, 1], (8, 2), [(0, 1), (1, 2), (2, 3), (3, 4)]),
            ([1, 1, 7, 1, 1], (8, 2), [(0, 2), (1, 3), (3, 5)]),  # shared only what leaves room for the next
            ([1] * 5, (9, 9, 2, 1), [(0, 2), (1, 3), (2, 4), (3, 5)]),
            ([1] * 6, (9, 9, 4, 2), [(0, 4), (2, 6)]),
        ],
    )
    def test_literal(self, sizes, limits, expected):
        assert cover(sizes, *limits) == expected

    @given(
        sizes=st.lists(st.integers(1, 12), max_size=60),
        capacity=st.integers(12, 30),
        shared=st.integers(0, 12),
        limits=st.one_of(st.just((None, None)), st.integers(1, 6).map(lambda most: (most, most // 2))),
    )
    @settings(max_examples=300, deadline=None)
    def test_properties(self, sizes, capacity, shared, limits):
        ranges = cover(sizes, capacity, shared, *limits)
        assert ranges[0][0] == 0
        assert ranges[-1][1] == len(sizes)
        for start, end in ranges:
            assert sum(sizes[start:end]) <= capacity
            assert limits[0] is None or end - start <= limits[0]
        for (start, end), (next_start, next_end) in itertools.pairwise(ranges):
            assert start < next_start <= end < next_end
            assert sum(sizes[next_start:end]) <= shared
            assert limits[1] is None or end - next_start <= limits[1]
        for (_, end), (start, _) in zip(ranges, ranges[2:]):
            assert end <= start, "no item is in three ranges"

    @given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=80), capacity=st.integers(12, 40))
    @settings(max_examples=300, deadline=None)
    def test_each_word_lies_half_the_overlap_from_both_inner_edges(self, sizes, capacity):
        windows = windows_of_words(5, sizes, capacity)
        shared = [before.end - after.start for before, after in itertools.pairwise(windows)]
        for word in range(5, 5 + len(sizes)):
            assert any(
                window.holds(word, word + 1)
                and (not window.inner_start or word - window.start >= shared[index - 1] // 2)
                and (not window.inner_end or window.end - word - 1 >= shared[index] // 2)
                for index, window in enumerate(windows)
            )
        assert not windows[0].inner_start
        assert not windows[-1].inner_end
        assert all(window.inner_start for window in windows[1:])

    def test_what_fits_is_one_window(self):
        assert windows_of_words(3, [4, 4], 8) == [Window(3, 5)]
        assert windows_of_words(3, [4, 4], None) == [Window(3, 5)]
        assert windows_of_sentences([(0, 2), (2, 5)], [3, 4], None, 2) == [Window(0, 5)]

    def test_depth(self):
        assert Window(0, 10).depth(0, 10) == math.inf
        assert Window(0, 10, inner_start=True).depth(3, 5) == 3
        assert Window(0, 10, inner_start=True, inner_end=True).depth(3, 8) == 2


class TestMerging:
    """Two windows of six words that share two: [0, 6) and [4, 10)."""

    windows = (Window(0, 6, False, True), Window(4, 10, True, False))

    def merge(self, first, second, options=OPTIONS, **kwargs):
        return merge_windows(self.windows, [first, second], options, **kwargs)

    def test_an_entity_counts_as_the_deeper_window_sees_it(self):
        first = DecodedSentence([DecodedEntity(4, 5, "A", 0.9), DecodedEntity(5, 6, "A", 0.8)], [])
        second = DecodedSentence([DecodedEntity(0, 1, "B", 0.7), DecodedEntity(1, 2, "B", 0.6)], [])
        # Word 4: one word from the first window's edge, none from the second's. Word 5: the other way round.
        expected = [DecodedEntity(4, 5, "A", 0.9), DecodedEntity(5, 6, "B", 0.6)]
        assert self.merge(first, second).entities == expected

    def test_what_only_the_shallow_window_finds_is_not_found(self):
        assert self.merge(DecodedSentence([DecodedEntity(5, 6, "A", 0.9)], []), DecodedSentence([], [])).entities == []

    def test_of_equal_depths_the_first_window_counts(self):
        first, second = (
            DecodedSentence([DecodedEntity(*span, kind, 0.5)], []) for span, kind in (((4, 6), "A"), ((0, 2), "B"))
        )
        assert self.merge(first, second).entities == [DecodedEntity(4, 6, "A", 0.5)]

    def test_relations_and_pairs_count_once_and_as_the_deeper_window_sees_them(self):
        entities = [DecodedEntity(4, 5, "A", 0.9), DecodedEntity(5, 6, "A", 0.8)]
        first = DecodedSentence(
            [DecodedEntity(0, 1, "A", 0.5), *entities],
            [DecodedRelation(0, 1, "r", 0.7), DecodedRelation(1, 2, "r", 0.6)],
            [DecodedPair(0, 1, {"r": 0.7}), DecodedPair(1, 2, {"r": 0.6})],
        )
        second = DecodedSentence(
            [DecodedEntity(0, 1, "A", 0.9), DecodedEntity(1, 2, "A", 0.8), DecodedEntity(5, 6, "B", 0.4)],
            [DecodedRelation(0, 1, "r", 0.9), DecodedRelation(1, 2, "s", 0.8)],
            [DecodedPair(0, 1, {"r": 0.9}), DecodedPair(1, 2, {"r": 0.1})],
        )
        merged = self.merge(first, second)
        assert [entity[:3] for entity in merged.entities] == [(0, 1, "A"), (4, 5, "A"), (5, 6, "A"), (9, 10, "B")]
        assert merged.relations == [
            DecodedRelation(0, 1, "r", 0.7),
            DecodedRelation(1, 2, "r", 0.6),
            DecodedRelation(2, 3, "s", 0.8),
        ]
        assert [(pair.head, pair.tail, pair.scores["r"]) for pair in merged.pairs] == [
            (0, 1, 0.7),
            (1, 2, 0.6),
            (2, 3, 0.1),
        ]

    def test_a_relation_between_entities_that_the_result_sees_otherwise_goes(self):
        first = DecodedSentence(
            [DecodedEntity(0, 1, "A", 0.5), DecodedEntity(5, 6, "A", 0.9)], [DecodedRelation(0, 1, "r", 0.7)]
        )
        second = DecodedSentence([DecodedEntity(1, 2, "B", 0.8)], [])
        merged = self.merge(first, second)
        assert [entity.type for entity in merged.entities] == ["A", "B"]
        assert merged.relations == []

    def test_overlaps_between_windows_are_resolved(self):
        first = DecodedSentence(
            [DecodedEntity(0, 1, "A", 0.6), DecodedEntity(2, 5, "B", 0.9)], [DecodedRelation(0, 1, "r", 0.7)]
        )
        second = DecodedSentence(
            [DecodedEntity(0, 4, "B", 0.5), DecodedEntity(4, 5, "A", 0.6)], [DecodedRelation(1, 0, "s", 0.8)]
        )
        assert len(self.merge(first, second).entities) == 4
        merged = self.merge(first, second, OPTIONS.override(overlapping_entities="nested"))
        assert [entity[:2] for entity in merged.entities] == [(0, 1), (2, 5), (8, 9)]
        # The relation of [4, 8) moves to [2, 5), which has its type; a symmetric one begins with what starts first.
        assert merged.relations == [DecodedRelation(0, 1, "r", 0.7), DecodedRelation(1, 2, "s", 0.8)]
        other_type = second._replace(entities=[second.entities[0]._replace(type="A"), second.entities[1]])
        dropped = self.merge(first, other_type, OPTIONS.override(overlapping_entities="none"))
        assert dropped.relations == [DecodedRelation(0, 1, "r", 0.7)]

    def test_pairs_of_dropped_entities_go_and_the_others_move_up(self):
        first = DecodedSentence(
            [DecodedEntity(0, 1, "A", 0.6), DecodedEntity(2, 5, "B", 0.9)],
            [],
            [DecodedPair(0, 1, {"r": 0.1}), DecodedPair(1, 0, {"r": 0.2})],
        )
        second = DecodedSentence(
            [DecodedEntity(0, 4, "B", 0.5), DecodedEntity(4, 5, "A", 0.6), DecodedEntity(5, 6, "A", 0.6)],
            [DecodedRelation(1, 2, "r", 0.5)],
            [DecodedPair(0, 1, {"r": 0.3}), DecodedPair(1, 0, {"r": 0.4}), DecodedPair(1, 2, {"r": 0.5})],
        )
        merged = self.merge(first, second, OPTIONS.override(overlapping_entities="none"))
        assert [entity[:2] for entity in merged.entities] == [(0, 1), (2, 5), (8, 9), (9, 10)]
        assert merged.relations == [DecodedRelation(2, 3, "r", 0.5)]
        assert [(pair.head, pair.tail, pair.scores["r"]) for pair in merged.pairs] == [
            (0, 1, 0.1),
            (1, 0, 0.2),
            (2, 3, 0.5),
        ]

    def test_an_overlap_with_an_earlier_entity_that_reaches_further_is_resolved(self):
        first = DecodedSentence([DecodedEntity(0, 5, "A", 0.9), DecodedEntity(1, 2, "B", 0.5)], [])
        second = DecodedSentence([DecodedEntity(0, 4, "A", 0.6)], [])
        merged = self.merge(first, second, OPTIONS.override(overlapping_entities="nested"))
        assert [entity[:2] for entity in merged.entities] == [(0, 5), (1, 2)]

    def test_given_entities_keep_their_order(self):
        first = DecodedSentence([DecodedEntity(5, 6, "A", 0.1), DecodedEntity(0, 1, "A", 0.2)], [])
        second = DecodedSentence([DecodedEntity(1, 2, "A", 0.3)], [])
        merged = self.merge(first, second, given=[(5, 6), (0, 1)])
        assert merged.entities == [DecodedEntity(5, 6, "A", 0.3), DecodedEntity(0, 1, "A", 0.2)]


WORDS = st.lists(st.sampled_from(["Ada", "Park", "of", "Oslo", "x-y", "Zürich", "", "🙂", "Northwind"]), max_size=40)


class TestReading:
    words = ["Ada", "Park", "of", "Oslo", "x-y", "Zürich", "Northwind"] * 6

    @given(words=WORDS, max_pieces=st.sampled_from([10, 16, 24]))
    @settings(max_examples=40, deadline=None)
    def test_any_words(self, model, words, max_pieces):
        (encoded,) = processor(max_pieces).encode_documents([words])
        assert all(len(row.input_ids) <= max_pieces for row in encoded.rows)
        for window, row in zip(encoded.windows, encoded.rows):
            alone = processor(None).encode([words[window.start : window.end]])[0]
            assert (row.input_ids, row.word_pieces, row.cls_piece) == (
                alone.input_ids,
                alone.word_pieces,
                alone.cls_piece,
            )
            assert row.text == " ".join(words[window.start : window.end])
            assert [row.text[start:end] for start, end in row.words] == words[window.start : window.end]
        (result,) = predict(model, processor(max_pieces), [words])
        (whole,) = predict(model, processor(None), [words])
        if len(encoded.rows) == 1:
            assert "windows" not in result
            assert_close(result, whole)
        else:
            assert result["windows"] == len(encoded.rows)
        self.check(result, words)

    def check(self, result, words):
        text = " ".join(words)
        assert result["text"] == text
        assert [text[start:end] for start, end in result["words"]] == words
        entities = result["entities"]
        for entity in entities:
            assert text[entity["start"] : entity["end"]] == entity["text"]
            assert entity["text"] == " ".join(words[entity["word_start"] : entity["word_end"]])
        spans = [(entity["word_start"], entity["word_end"]) for entity in entities]
        assert len(set(spans)) == len(spans)
        assert spans == sorted(spans)
        relations = [(relation["head"], relation["tail"], relation["type"]) for relation in result["relations"]]
        assert len(set(relations)) == len(relations)
        assert relations == sorted(relations)
        married = [{head, tail} for head, tail, name in relations if name == "married_to"]
        for head, tail in (sorted(pair) for pair in married):
            assert married.count({head, tail}) == 1 or spans[head][0] == spans[tail][0]

    def test_there_are_things_to_merge(self, eager_model):
        (result,) = predict(eager_model, processor(16), [self.words])
        assert result["windows"] > 5
        assert len(result["entities"]) > 5
        assert result["relations"]

    @pytest.mark.parametrize("overlapping", ["nested", "none"])
    def test_no_overlaps_are_left_between_windows(self, eager_model, overlapping):
        (result,) = predict(eager_model, processor(16), [self.words], overlapping_entities=overlapping)
        spans = [range(entity["word_start"], entity["word_end"]) for entity in result["entities"]]
        assert len(spans) > 5
        for one, other in itertools.combinations(spans, 2):
            shared = set(one) & set(other)
            assert not shared or (overlapping == "nested" and (shared == set(one) or shared == set(other)))

    def test_errors_instead(self):
        with pytest.raises(ValueError, match=r"the sentence .* has 12 pieces, the encoder takes at most 10"):
            processor(10).encode_documents([["Oslo"] * 10], on_overflow="error")

    def test_a_word_longer_than_the_encoder_is_named(self):
        message = "text 1: word 2 .'----.*has 20 pieces by itself, the encoder takes at most 8 besides 2 special ones"
        with pytest.raises(ValueError, match=message):
            processor(10).encode_documents(["Oslo", ["a", "b", "-" * 20]])

    def test_only_the_long_sentence_of_a_document_is_read_in_windows(self, model):
        text = "Nobody came. " + "Ada Park of " * 12 + "Oslo. Maria met Tom."
        (result,) = predict(model, processor(16), [text])
        assert len(result["sentences"]) == 3
        alone = predict(model, processor(16), [text[start:end] for start, end in result["sentences"]])
        assert result["windows"] == 2 + alone[1]["windows"]
        assert "windows" not in alone[0]
        assert len(result["entities"]) == sum(len(one["entities"]) for one in alone)

    def test_given_entities_in_windows(self, model):
        words = ["Ada", "Park", "of", "Oslo", "met"] * 8
        given = [
            {"word_start": 37, "word_end": 39},
            {"word_start": 0, "word_end": 2},
            {"word_start": 35, "word_end": 37},
        ]
        (result,) = predict(
            model, processor(16), [{"tokens": words, "entities": given}], relation_threshold=0.0, return_all_scores=True
        )
        assert [(one["word_start"], one["word_end"]) for one in result["entities"]] == [(37, 39), (0, 2), (35, 37)]
        # Only the entities that share a window are a pair.
        assert [(pair["head"], pair["tail"]) for pair in result["pairs"]] == [(0, 2), (2, 0)]
        wide = [{"word_start": 2, "word_end": 20}]
        with pytest.raises(
            ValueError, match=r"entity 0 \('of Oslo.*fits into one of the windows.*18 words that does not"
        ):
            predict(model, processor(16), [{"tokens": words, "entities": wide}])


class TestSeveralSentences:
    text = "Ada Park came. Nobody met Tom. Oslo of Maria. Quito and Ecuador."

    def read(self, together, max_pieces=128, **kwargs):
        (encoded,) = processor(max_pieces).encode_documents([self.text], sentences_per_window=together, **kwargs)
        return encoded

    def test_neighbours_are_read_together(self):
        assert [row.text for row in self.read(2).rows] == [
            "Ada Park came. Nobody met Tom.",
            "Nobody met Tom. Oslo of Maria.",
            "Oslo of Maria. Quito and Ecuador.",
        ]
        assert len(self.read(3).rows) == 2
        assert [row.text for row in self.read(4).rows] == [self.text]
        assert self.read(2).windows == [
            Window(0, 8, False, True),
            Window(4, 12, True, True),
            Window(8, 16, True, False),
        ]

    def test_as_many_as_fit(self):
        assert all(len(row.input_ids) <= 14 for row in self.read(4, 14).rows)
        whole = self.read(1, 14)
        assert [row.text for row in whole.rows] == [
            "Ada Park came.",
            "Nobody met Tom.",
            "Oslo of Maria.",
            "Quito and Ecuador.",
        ]

    def test_relations_cross_sentences(self, eager_model):
        (apart,) = predict(eager_model, processor(128), [self.text], relation_threshold=0.0)
        (together,) = predict(eager_model, processor(128), [self.text], sentences_per_window=4, relation_threshold=0.0)
        crossing = [
            relation
            for result in (apart, together)
            for relation in result["relations"]
            if len({result["entities"][relation[role]]["sentence"] for role in ("head", "tail")}) == 2
        ]
        assert crossing
        assert all(relation in together["relations"] for relation in crossing)
        assert together["windows"] == 1
        assert "windows" not in apart
        assert together["sentences"] == apart["sentences"]

    def test_saved_with_the_processor(self, tmp_path):
        made = SpertProcessor(tiny.tokenizer("bert"), max_pieces=64, sentences_per_window=2)
        made.save_pretrained(tmp_path)
        loaded = SpertProcessor.from_pretrained(tmp_path)
        assert loaded.sentences_per_window == 2
        assert len(loaded.encode_documents([self.text])[0].rows) == 3


def test_any_number_of_words_in_bounded_memory(monkeypatch):
    model, reader = (
        tiny.choosy_model("bert", max_span_width=1, relation_types=[], symmetric_relations=[]),
        processor(128),
    )
    seen = []
    forward = type(model).forward

    def watched(self, *args, **kwargs):
        seen.append(tuple(kwargs["input_ids"].shape))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(model), "forward", watched)
    words = [tiny.SENTENCES[2][index % 14] for index in range(20_000)]
    (result,) = predict(model, reader, [words], batch_size=32)
    assert len(result["words"]) == 20_000
    assert result["windows"] > 200
    assert max(rows for rows, _ in seen) <= 32
    assert max(pieces for _, pieces in seen) <= 128
    assert len(seen) == math.ceil(result["windows"] / 32)


def test_windows_pass_the_processor_and_the_model_by_hand(model):
    reader = processor(16)
    words = ["Ada", "Park", "of", "Oslo", "met"] * 8
    batch = reader([words, ["Oslo"]], is_split_into_words=True)
    with torch.inference_mode():
        results = reader.post_process_entity_relation_extraction(model(**batch), batch)
    assert_close(results, predict(model, reader, [words, ["Oslo"]]))
    assert results[0]["windows"] == len(batch["input_ids"]) - 1
