"""Words of neighbouring sentences: which they are, that they are read, and that nothing is found in them."""

import itertools
import json

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from spert import SpertProcessor
from spert.collating_spert import SpertTrainingDataset
from spert.evaluation.evaluator import evaluate_model
from spert.inspection.predicting import read_with_model
from spert.neighbours_spert import with_context
from spert.options_spert import DecodingOptions
from spert.prediction import predict
from spert.tuning.collecting import score_split
from spert.windows_spert import Window, context_of_window
from tests import tiny
from tests.runs import settings as flags_of
from tests.runs import train_here
from tests.tolerance import assert_close

ABSTRACT = [
    {"id": "a/0", "tokens": ["Ada", "Park", "came", "."]},
    {"id": "a/1", "tokens": ["Maria", "met", "Tom", "."]},
    {"id": "a/2", "tokens": ["Nobody", "joined", "."]},
    {"id": "a/4", "tokens": ["Oslo"]},  # the fourth sentence is missing
    {"id": "b/5", "tokens": ["Quito"]},
    {"id": "7", "tokens": ["Labs"]},
]


def processor(context_words, max_pieces=128):
    return SpertProcessor(tiny.tokenizer("bert"), max_pieces=max_pieces, context_words=context_words)


def read_words(made, row):
    """The words that a row holds: those before, the row's own, and those after."""
    pieces = made.tokenizer.convert_ids_to_tokens(row.input_ids)
    borders = [1, row.word_pieces[0][0], row.word_pieces[-1][1], len(pieces) - 1]
    parts = [pieces[first:last] for first, last in itertools.pairwise(borders)]
    return tuple(" ".join(part).replace(" ##", "") for part in parts)


class TestNeighbours:
    @pytest.mark.parametrize(
        ("number", "before", "after"),
        [
            (1, ["", ".", ".", "", "", ""], ["Maria", "Nobody", "", "", "", ""]),
            (
                4,
                ["", "Ada Park came .", "Maria met Tom .", "", "", ""],
                ["Maria met Tom .", "Nobody joined .", *[""] * 4],
            ),
            (
                6,
                ["", "Ada Park came .", "came . Maria met Tom .", "", "", ""],
                ["Maria met Tom . Nobody joined", "Nobody joined .", "", "", "", ""],
            ),
        ],
    )
    def test_are_those_of_the_same_document(self, number, before, after):
        found = with_context(ABSTRACT, number)
        assert [" ".join(record["context_before"]) for record in found] == before
        assert [" ".join(record["context_after"]) for record in found] == after
        assert [record["tokens"] for record in found] == [record["tokens"] for record in ABSTRACT]

    def test_order_of_the_records_does_not_matter(self):
        assert with_context(ABSTRACT[::-1], 3)[::-1] == with_context(ABSTRACT, 3)

    def test_a_record_that_says_its_context_keeps_it(self):
        own = {"id": "a/1", "tokens": ["Tom"], "context_before": ["Oslo"], "context_after": None}
        assert with_context([ABSTRACT[0], own], 3)[1] == own

    def test_none_are_read_with_0(self):
        assert with_context(ABSTRACT, 0) == ABSTRACT

    def test_a_position_that_occurs_twice_is_refused(self):
        with pytest.raises(
            ValueError, match=r"record 1 \(id 'a/0'\): expected each sentence of a document once.*record 0"
        ):
            with_context([ABSTRACT[0], ABSTRACT[0]], 3)


class TestRange:
    ENDS = (0, 1, 3, 4, 6, 7, 9, 10)  # seven words of 1, 2, 1, 2, 1, 2, 1 pieces

    @pytest.mark.parametrize(
        ("room", "number", "expected"),
        [
            (None, 9, (0, 7)),
            (None, 2, (1, 6)),
            (None, 0, (3, 4)),
            (0, 9, (3, 4)),
            (1, 9, (2, 4)),
            (2, 9, (2, 5)),
            (3, 9, (2, 5)),  # neither neighbour of two pieces fits
            (4, 9, (1, 5)),
            (5, 9, (0, 5)),  # the next word after has two pieces, the one before has one
            (6, 9, (1, 6)),
            (7, 9, (0, 6)),
            (8, 9, (0, 7)),
        ],
    )
    def test_literal(self, room, number, expected):
        assert context_of_window(Window(3, 4), self.ENDS, room, number) == expected

    @given(
        sizes=st.lists(st.integers(1, 4), min_size=1, max_size=30),
        places=st.tuples(st.integers(0, 30), st.integers(0, 30)),
        room=st.integers(0, 40),
        number=st.integers(0, 12),
    )
    @settings(max_examples=200, deadline=None)
    def test_no_more_than_fits_and_no_less(self, sizes, places, room, number):
        ends = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
        start, end = sorted(min(place, len(sizes)) for place in places)
        first, last = context_of_window(Window(start, end), ends, room, number)
        used = ends[last] - ends[first] - (ends[end] - ends[start])
        assert start - number <= first <= start <= end <= last <= end + number
        assert used <= room
        assert first in (0, start - number) or used + sizes[first - 1] > room
        assert last in (len(sizes), end + number) or used + sizes[last] > room


class TestRows:
    TEXT = "Ada Park came. Maria met Tom. Nobody joined."

    @pytest.mark.parametrize(
        ("number", "expected"),
        [
            (0, [("", "ada park came .", ""), ("", "maria met tom .", ""), ("", "nobody joined .", "")]),
            (
                2,
                [
                    ("", "ada park came .", "maria met"),
                    ("came .", "maria met tom .", "nobody joined"),
                    ("tom .", "nobody joined .", ""),
                ],
            ),
        ],
    )
    def test_of_a_text_hold_the_sentences_beside_theirs(self, number, expected):
        made = processor(number)
        (document,) = made.encode_documents([self.TEXT])
        assert [read_words(made, row) for row in document.rows] == expected
        assert [row.text for row in document.rows] == ["Ada Park came.", "Maria met Tom.", "Nobody joined."]

    def test_hold_what_a_record_says(self):
        made = processor(2)
        context = {"context_before": ["Oslo", "Quito", "."], "context_after": ["Labs"]}
        (row,) = made.encode([{"tokens": ["Tom", "came"], **context}])
        assert read_words(made, row) == ("quito .", "tom came", "labs")
        (document,) = made.encode_documents(
            [{"text": "Tom came. Ada left.", "context_before": "Oslo. In Quito.", "context_after": "Labs"}]
        )
        assert [read_words(made, row)[::2] for row in document.rows] == [("quito .", "ada left"), ("came .", "labs")]

    def test_shorten_context_to_what_fits(self):
        made = processor(3, max_pieces=8)  # two of them special
        (document,) = made.encode_documents([self.TEXT])
        assert [read_words(made, row)[::2] for row in document.rows] == [("", "maria"), (".", ""), (".", "")]
        assert [len(row.input_ids) for row in document.rows] == [8, 8, 8]  # "maria" and "nobody" have two pieces

    def test_hold_context_of_windows(self):
        made = processor(1, max_pieces=8)
        (document,) = made.encode_documents([["Oslo"] * 9], is_split_into_words=True)
        assert [len(row.word_pieces) for row in document.rows] == [6, 4]
        assert [read_words(made, row)[::2] for row in document.rows] == [("", ""), ("oslo", "")]
        (document,) = processor(1, max_pieces=14).encode_documents([self.TEXT], sentences_per_window=2)
        assert [read_words(made, row) for row in document.rows] == [
            ("", "ada park came . maria met tom .", "nobody"),
            (".", "maria met tom . nobody joined .", ""),
        ]

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            (
                {"tokens": ["Tom"], "context_before": "Oslo"},
                "field 'context_before': expected a list of words, got .*Oslo",
            ),
            ({"text": "Tom", "context_after": ["Oslo"]}, "field 'context_after': expected a text, got .*Oslo"),
        ],
    )
    def test_context_of_another_form_is_refused(self, record, message):
        with pytest.raises(ValueError, match=message):
            processor(2).encode_documents([record])

    @pytest.mark.parametrize("number", [-1, 1.5, True])
    def test_other_numbers_are_refused(self, number):
        with pytest.raises(ValueError, match="expected context_words of at least 0"):
            processor(number)

    def test_the_number_is_saved_with_the_processor(self, tmp_path):
        processor(7).save_pretrained(tmp_path)
        assert json.loads((tmp_path / "processor_config.json").read_text())["context_words"] == 7
        assert SpertProcessor.from_pretrained(tmp_path).context_words == 7


class TestScores:
    @pytest.fixture(scope="class")
    def model(self):
        return tiny.choosy_model("bert", max_span_width=3)

    def logits(self, model, made, record):
        rows = made.encode_documents([record])[0].rows
        with torch.no_grad():
            return model(**made.pad(rows)).entity_logits

    def test_change_with_the_context_of_the_same_document_alone(self, model):
        alone = self.logits(model, processor(0), {"tokens": ABSTRACT[0]["tokens"]})
        for other in ("b", "a"):
            records = [ABSTRACT[0], ABSTRACT[1] | {"id": f"{other}/1"}]
            record = with_context(records, 5)[0]
            found = self.logits(model, processor(5), record)
            assert found.shape == alone.shape
            assert torch.equal(found, alone) == (other == "b")

    def test_nothing_is_found_in_context(self, model):
        record = {"tokens": ["Tom", "came"], "context_before": ["Ada", "Park"], "context_after": ["Oslo", "."]}
        (result,) = predict(model, processor(3), [record], relation_threshold=0.0)
        assert result["text"] == "Tom came"
        assert result["words"] == [[0, 3], [4, 8]]
        assert all(entity["word_end"] <= 2 for entity in result["entities"])

    def test_the_context_of_pairs_is_that_of_their_sentence(self):
        # With every piece embedded by itself (no layers, no positions), only what is pooled could bring context in.
        model = tiny.choosy_model("bert", relation_context="full")
        model.encoder.encoder.layer = torch.nn.ModuleList()
        model.encoder.embeddings.position_embeddings.weight.data.zero_()
        entities = [{"word_start": 0, "word_end": 2}, {"word_start": 3, "word_end": 5}]
        record = {
            "tokens": tiny.SENTENCES[0],
            "entities": entities,
            "context_before": ["Quito", ","],
            "context_after": ["Ecuador"],
        }
        (with_words,), (without,) = (
            predict(model, processor(number), [record], relation_threshold=0.0) for number in (2, 0)
        )
        assert without["relations"]
        assert_close(
            [relation["score"] for relation in with_words["relations"]],
            [relation["score"] for relation in without["relations"]],
        )


class TestTraining:
    def test_a_dataset_reads_neighbours_and_draws_the_same_negatives(self):
        records = [record | {"id": f"doc/{index}"} for index, record in enumerate(tiny.RECORDS)]
        plain, wide = (SpertTrainingDataset(records, processor(number), tiny.config()) for number in (0, 2))
        for without, with_words in zip(plain, wide):
            for name in ("spans", "span_labels", "pairs", "pair_labels"):
                assert torch.equal(without[name], with_words[name])
        assert [len(wide[index]["input_ids"]) - len(plain[index]["input_ids"]) for index in range(4)] == [3, 5, 3, 3]

    @pytest.mark.parametrize("reader", ["evaluate", "evaluate given entities", "tune", "inspect"])
    def test_whatever_reads_a_corpus_reads_it_as_training_does(self, reader, monkeypatch):
        records = [record | {"id": f"doc/{index}"} for index, record in enumerate(tiny.RECORDS)]
        rows, made, model = Dataset.from_list(records), processor(2), tiny.choosy_model()
        read = []
        pad = made.pad_features
        monkeypatch.setattr(made, "pad_features", lambda rows, *rest: (read.extend(rows), pad(rows, *rest))[1])
        if reader == "tune":
            score_split(model, made, rows, DecodingOptions.of(model.config))
        elif reader == "inspect":
            read_with_model(model, made, records)
        else:
            evaluate_model(model, made, rows, given_entities=reader.endswith("entities"))
        trained_on = SpertTrainingDataset(records, made, model.config)
        expected = {tuple(trained_on[index]["input_ids"]) for index in range(len(records))}
        assert {tuple(row["input_ids"]) for row in read} == expected

    def test_a_run_reads_saves_and_reports_it(self, easy_corpus, small_encoder, tmp_path):
        corpus = tmp_path / "corpus"
        corpus.mkdir()
        for file in easy_corpus.iterdir():
            records = json.loads(file.read_text())
            if isinstance(records, list):
                records = [record | {"id": f"{file.stem}/{index}"} for index, record in enumerate(records)]
            (corpus / file.name).write_text(json.dumps(records))
        flags = flags_of(corpus, small_encoder, num_train_epochs=1, context_words=3, train_fraction=0.5)
        printed = train_here(tmp_path / "run", *flags).stdout
        # All of them have neighbours, though half of the sentences are not trained on.
        assert "words of their neighbours: 6 of 6 in train, 4 of 4 in validation, 7 of 7 in test" in printed
        assert SpertProcessor.from_pretrained(tmp_path / "run").context_words == 3
        assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["context_words"] == 3
        assert "| `context_words` | 3 |" in (tmp_path / "run" / "README.md").read_text()

    def test_a_corpus_without_documents_is_refused(self, easy_corpus, small_encoder, tmp_path):
        flags = flags_of(easy_corpus, small_encoder, context_words=3)
        with pytest.raises(ValueError, match="--context_words 3: expected records whose `id` is DOCUMENT/POSITION"):
            train_here(tmp_path / "run", *flags)
