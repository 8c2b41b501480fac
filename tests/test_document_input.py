"""What a caller may hand in: texts, words, sentences of their own, entities of their own; and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spert.documents_spert import GivenEntity, read_document, refuse_unknown_types
from spert.sentences_spert import split_sentences
from spert.words_spert import split_words
from tests import tiny

TEXT = "Ada Park joined Northwind Labs in Oslo. Nobody came."
SENTENCES = [(0, 39), (40, 52)]


def read(item, **kwargs):
    return read_document(item, split_words=split_words, split_sentences=split_sentences, **kwargs)


def with_entities(*entities, text=TEXT, **kwargs):
    return read({"text": text, "entities": list(entities)}, **kwargs)


class TestSentences:
    def test_found(self):
        document = read(TEXT)
        assert document.sentence_characters == SENTENCES
        assert document.sentences == [(0, 8), (8, 11)]
        assert [TEXT[start:end] for start, end in document.words[-3:]] == ["Nobody", "came", "."]
        assert [document.sentence_of(word) for word in (0, 7, 8, 10)] == [0, 0, 1, 1]
        assert read(TEXT, sentences=True) == document

    def test_one(self):
        assert read(f" {TEXT}\n", sentences=False).sentence_characters == [(1, 53)]
        assert read(TEXT, sentences=False).sentences == [(0, 11)]
        assert read("  ", sentences=False).sentences == []

    def test_the_callers(self):
        document = read(TEXT, sentences=[[0, 15], [40, 46]])  # what lies outside is not read
        assert document.sentences == [(0, 3), (3, 4)]
        assert [TEXT[start:end] for start, end in document.words] == ["Ada", "Park", "joined", "Nobody"]
        assert read({"text": TEXT, "sentences": [[0, 15], [40, 46]]}, sentences=False) == document
        assert read(TEXT, sentences=lambda text: [(0, 15), (40, 46)]) == document

    def test_of_words(self):
        document = read(["Ada", "Park", "."])
        assert (document.text, document.sentences, document.sentence_characters) == ("Ada Park .", [(0, 3)], None)
        assert read([]).words == []

    def test_an_empty_sentence_holds_no_word(self):
        document = read("a  b", sentences=[(0, 1), (1, 3), (3, 4)])
        assert document.sentences == [(0, 1), (1, 1), (1, 2)]
        assert document.sentence_of(1) == 2

    @pytest.mark.parametrize(
        ("sentences", "message"),
        [
            ([[0, 39], [38, 52]], r"sentence 1: .*do not cross, got \[38, 52\) after \[0, 39\)"),
            ([[40, 52], [0, 39]], r"sentence 1: expected sentences in order"),
            ([[0, 53]], r"sentence 0: .*within the text's \[0, 52\), got \[0, 53\)"),
            ([[-1, 3]], r"got \[-1, 3\)"),
            ([[3, 3]], r"with start < end .*got \[3, 3\)"),
            ([[0, 1, 2]], r"sentence 0: expected \[start, end\] in characters, got '\[0, 1, 2\]'"),
            ([[0.0, 1]], r"expected \[start, end\] in characters"),
            ("lines", "to be True, False, a function or a list of character ranges, got \"'lines'\""),
            (lambda text: [(0, 99)], r"got \[0, 99\)"),
        ],
    )
    def test_refuses(self, sentences, message):
        with pytest.raises(ValueError, match=message):
            read(TEXT, sentences=sentences)

    @pytest.mark.parametrize("sentences", [True, False, [[0, 3]]])
    def test_refuses_sentences_beside_words(self, sentences):
        with pytest.raises(ValueError, match="expected no `sentences` beside words, which are one sentence"):
            read(["Ada", "Park"], sentences=sentences)
        with pytest.raises(ValueError, match="expected no `sentences` beside words"):
            read({"tokens": ["Ada"], "sentences": [[0, 3]]})


class TestForms:
    @pytest.mark.parametrize(
        ("item", "message"),
        [
            (None, "expected a text, a list of words or a record, got 'None' .NoneType."),
            (7, "expected a text, a list of words or a record, got '7'"),
            (["a", 3], "expected a list of words"),
            ({"words": ["a"]}, r"expected a record with 'tokens' .words. or 'text', got the keys \['words'\]"),
            ({"text": ["a"]}, "expected a text, got"),
            ({"tokens": "a b"}, "expected a list of words, got \"'a b'\""),
            ("Oslo \ud800.", r"lone surrogate, '\\ud800', at character 5. Decode the text's source"),
            (["Oslo", "\udfff"], r"lone surrogate, '\\udfff', at character 5"),
        ],
    )
    def test_refuses(self, item, message):
        with pytest.raises(ValueError, match=message):
            read(item)

    def test_a_record_of_a_corpus_is_its_words(self):
        assert read(tiny.RECORDS[0]) == read(tiny.SENTENCES[0])
        assert read({"tokens": ["Oslo"], "text": "Oslo!"}) == read(["Oslo"])
        assert read({"text": TEXT, "entities": None, "tokens": None}) == read(TEXT)

    @given(st.text(max_size=60))
    @settings(max_examples=100, deadline=None)
    def test_words_and_sentences_of_any_text(self, text):
        document = read(text)
        assert [word for start, end in document.sentences for word in range(start, end)] == list(
            range(len(document.words))
        )
        for (start, end), (first, last) in zip(document.sentence_characters, document.sentences):
            expected = [(start + word[0], start + word[1]) for word in split_words(text[start:end])]
            assert document.words[first:last] == expected


class TestGivenWords:
    WORDS = [(0, 8), (9, 15), (16, 25), (31, 38), (38, 46), (47, 51)]

    def test_with_sentences_that_are_found(self):
        """A word that reaches into the next sentence belongs to the one in which it starts, which grows."""
        document = read({"text": TEXT, "words": [list(word) for word in self.WORDS]})
        assert document.words == self.WORDS
        assert document.sentences == [(0, 5), (5, 6)]
        assert document.sentence_characters == [(0, 46), (47, 51)]

    def test_with_the_callers_sentences(self):
        record = {"text": TEXT, "words": self.WORDS, "sentences": [[0, 15], [16, 30], [46, 52]]}
        document = read(record)
        assert document.words == [(0, 8), (9, 15), (16, 25), (47, 51)], "what lies outside is not read"
        assert document.sentences == [(0, 2), (2, 3), (3, 4)]
        assert document.sentence_characters == [(0, 15), (16, 30), (46, 52)]

    def test_a_result_is_read_again_as_it_is(self):
        document = read(TEXT)
        again = read({"text": TEXT, "words": document.words, "sentences": SENTENCES})
        assert again == document == read({"text": TEXT, "words": document.words})
        assert read({"text": TEXT, "words": []}).words == []
        assert read({"text": TEXT, "words": None}) == document

    def test_given_entities_stand_on_them(self):
        entity = {"start": 0, "end": 15}
        document = read({"text": TEXT, "words": self.WORDS, "entities": [entity]}, sentences=False)
        assert document.given == [GivenEntity(0, 2, None)]
        with pytest.raises(ValueError, match="expected a span that begins and ends with a word"):
            read({"text": TEXT, "words": self.WORDS, "entities": [{"start": 0, "end": 3}]})

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            ({"words": ["Ada"]}, r"word 0: expected \[start, end\] in characters, got \"'Ada'\""),
            ({"words": [[0, 8], [7, 9]]}, r"word 1: expected words in order that do not cross, got \[7, 9\) after"),
            ({"words": [[0, 99]]}, r"word 0: expected a range with start < end within the text's \[0, 52\)"),
            ({"words": 3}, "expected `words` to be a list of character ranges, got '3'"),
            (
                {"words": [[0, 8]], "sentences": [[0, 4]]},
                r"sentence 0: expected borders between words, got \[0, 4\), which cuts word 0 at \[0, 8\)",
            ),
            ({"words": [[0, 8]], "sentences": [[4, 8]]}, "which cuts word 0"),
        ],
    )
    def test_refuses(self, record, message):
        with pytest.raises(ValueError, match=message):
            read({"text": TEXT, **record})

    @settings(deadline=None)
    @given(st.text(alphabet="aB. \n!ก東", max_size=30), st.data())
    def test_any_words_of_any_text(self, text, data):
        """Every word that is given is read, once and in order, and every sentence holds its words."""
        cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=10)))
        words = [(start, end) for start, end in zip(cuts[::2], cuts[1::2])]
        for sentences in (None, False):
            document = read({"text": text, "words": words}, sentences=sentences)
            assert document.words == (words if document.sentences else [])
            assert [word for first, last in document.sentences for word in range(first, last)] == list(
                range(len(document.words))
            )
            for (first, last), (start, end) in zip(document.sentences, document.sentence_characters):
                assert (start, end) == (document.words[first][0], document.words[last - 1][1])


class TestGivenEntities:
    def test_of_text_and_words(self):
        given = [GivenEntity(0, 2, "Person"), GivenEntity(6, 7, None)]
        assert with_entities({"start": 0, "end": 8, "type": "Person"}, {"start": 34, "end": 38}).given == given
        assert with_entities({"word_start": 6, "word_end": 7}).given == given[1:]
        entities = [{"word_start": 0, "word_end": 2, "type": "Person"}, {"word_start": 6, "word_end": 7, "type": None}]
        assert read({"tokens": tiny.SENTENCES[0], "entities": entities}).given == given
        assert with_entities().given == []
        assert read(TEXT).given is None

    @pytest.mark.parametrize(
        ("entity", "message"),
        [
            (
                {"start": 0, "end": 6},
                r"entity 0 \('Ada Pa'\): .*got \[0, 6\).*words are 'Ada' \[0, 3\), 'Park' \[4, 8\)",
            ),
            ({"start": 1, "end": 8}, "begins and ends with a word of a sentence"),
            ({"start": 3, "end": 4}, r"got \[3, 4\), where the words are none"),
            ({"start": 0, "end": 99}, r"entity 0: expected a range of the 52 characters of the text, got \[0, 99\)"),
            ({"start": 4, "end": 4}, r"got \[4, 4\)"),
            ({"start": 0}, "entity 0: expected numbers 'start' and 'end', got"),
            ({"start": True, "end": 3}, "expected numbers 'start' and 'end'"),
            (
                {"start": 34, "end": 46},
                r"entity 0 \('Oslo. Nobody'\): .*begins in sentence 0 \('Ada .*ends in sentence 1 \('Nobody came.'\)",
            ),
            ({"start": 0, "end": 8, "type": 3}, r"entity 0 \('Ada Park'\): expected a type's name, or none, got 3"),
        ],
    )
    def test_refuses(self, entity, message):
        with pytest.raises(ValueError, match=message):
            with_entities(entity)

    def test_refuses_more(self):
        with pytest.raises(ValueError, match=r"entity 1 \('Ada Park'\): .*each entity once, got the words of entity 0"):
            with_entities({"start": 0, "end": 8}, {"word_start": 0, "word_end": 2, "type": "Person"})
        with pytest.raises(ValueError, match="`entities` to be a list of dictionaries"):
            read({"text": TEXT, "entities": [(0, 8)]})
        with pytest.raises(ValueError, match="expected at most 99 words, got 100"):
            read({"tokens": ["a"] * 120, "entities": [{"word_start": 0, "word_end": 100}]})
        with pytest.raises(
            ValueError, match=r"entity 0: expected a range of the 2 words of the sentence, got \[1, 3\)"
        ):
            read({"tokens": ["a", "b"], "entities": [{"word_start": 1, "word_end": 3}]})
        with pytest.raises(ValueError, match="expected numbers 'word_start' and 'word_end', got"):
            read({"tokens": ["a", "b"], "entities": [{"start": 0, "end": 1}]})
        with pytest.raises(ValueError, match="where the words are none"):
            with_entities({"start": 40, "end": 46}, sentences=[[0, 39]])

    def test_unknown_types(self):
        refuse_unknown_types(with_entities({"start": 0, "end": 8}), ["Person"])
        with pytest.raises(
            ValueError, match=r"entity 0 \('Ada Park'\): expected a type out of Person, Place, or none, got 'P'"
        ):
            refuse_unknown_types(with_entities({"start": 0, "end": 8, "type": "P"}), ["Person", "Place"])
