"""Tiny random encoders and tokenizers of every family that the model is tested on, made without a download."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from spert import SpertConfig, SpertModel, SpertProcessor

ENTITY_TYPES = ["Person", "Organization", "Place"]
RELATION_TYPES = ["works_for", "located_in", "married_to"]
SYMMETRIC = ["married_to"]

SENTENCES = [
    ["Ada", "Park", "joined", "Northwind", "Labs", "in", "Oslo", "."],
    ["Nobody", "came", "."],
    ["Maria", ",", "Tom", "and", "Ada", "Park", "of", "Northwind", "Labs", "met", "in", "Quito", ",", "Ecuador", "."],
    ["Oslo"],
]

RECORDS = [
    {
        "id": "a",
        "tokens": SENTENCES[0],
        "entities": [
            {"type": "Person", "start": 0, "end": 2},
            {"type": "Organization", "start": 3, "end": 5},
            {"type": "Place", "start": 6, "end": 7},
        ],
        "relations": [
            {"type": "works_for", "head": 0, "tail": 1},
            {"type": "located_in", "head": 1, "tail": 2},
        ],
    },
    {"id": "b", "tokens": SENTENCES[1], "entities": [], "relations": []},
    {
        "id": "c",
        "tokens": SENTENCES[2],
        "entities": [
            {"type": "Person", "start": 0, "end": 1},
            {"type": "Person", "start": 2, "end": 3},
            {"type": "Person", "start": 4, "end": 6},
            {"type": "Organization", "start": 7, "end": 9},
        ],
        "relations": [
            {"type": "married_to", "head": 1, "tail": 0},
            {"type": "works_for", "head": 2, "tail": 3},
        ],
    },
    {"id": "d", "tokens": SENTENCES[3], "entities": [{"type": "Place", "start": 0, "end": 1}], "relations": []},
]

_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
}

ENCODERS: dict[str, dict[str, Any]] = {
    "bert": _SIZES,
    "roberta": _SIZES,
    "xlm-roberta": _SIZES,
    "electra": _SIZES | {"embedding_size": 16},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48, "max_position_embeddings": 128},
    "deberta-v2": _SIZES
    | {
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_buckets": 16,
    },
    "modernbert": _SIZES | {"global_attn_every_n_layers": 2, "local_attention": 16},
}
"""Model type to the sizes of a tiny configuration; `deberta-v2` is set up as DeBERTa-v3 is."""

ALL_CHOICES: dict[str, Any] = {
    "relation_head": "mlp",
    "relation_hidden_size": 24,
    "entity_type_features": True,
    "distance_embedding_size": 6,
    "span_boundaries": True,
    "relation_context": "attention",
    "context_window": 2,
}
"""Every choice of the heads that is not the paper's, together."""

_TEXT = [" ".join(words) for words in SENTENCES] + ["The quick brown fox jumps over the lazy dog", "Zürich 123 -"]
_WORDS = sorted({word for text in _TEXT for word in text.split()})
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_BEGINNING = 4
"""The tokenizers know each word's first letters and the rest of it as two pieces. They are not trained: `tokenizers`
breaks ties in the order of a hash table, so that two processes would have two vocabularies.
"""


@cache
def tokenizer(model_type: str) -> PreTrainedTokenizerBase:
    """A fast tokenizer of the kind that the model type uses, which knows the words of a few sentences."""
    return _TOKENIZERS.get(model_type, word_piece_tokenizer)()


def word_piece_tokenizer(**kwargs: Any) -> PreTrainedTokenizerBase:
    """BERT's kind."""
    normalizer = normalizers.BertNormalizer(lowercase=True)
    words = [normalizer.normalize_str(word) for word in _WORDS]
    letters = sorted(set("".join(words)))
    parts = [part for word in words for part in (word[:_BEGINNING], "##" + word[_BEGINNING:]) if part != "##"]
    pieces = dict.fromkeys([*_SPECIAL, *letters, *("##" + letter for letter in letters), *parts])
    backend = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _wrapped(backend, *_SPECIAL, **kwargs)


def byte_level_tokenizer(add_prefix_space: bool = True, **kwargs: Any) -> PreTrainedTokenizerBase:
    """RoBERTa's kind."""
    cls, pad, sep, unk, mask = special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # RoBERTa's order: padding is 1
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [pre_tokenizers.ByteLevel(add_prefix_space=True).pre_tokenize_str(word)[0][0] for word in _WORDS]
    merges: dict[tuple[str, str], None] = {}
    for part in (part for word in words for part in (word[: _BEGINNING + 1], word[_BEGINNING + 1 :])):
        merges |= {(part[:end], part[end]): None for end in range(1, len(part))}
    pieces = dict.fromkeys([*special, *alphabet, *("".join(merge) for merge in merges)])
    backend = Tokenizer(models.BPE({piece: index for index, piece in enumerate(pieces)}, list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    backend.decoder = decoders.ByteLevel()
    return _wrapped(backend, pad, unk, cls, sep, mask, **kwargs)


def sentence_piece_tokenizer(**kwargs: Any) -> PreTrainedTokenizerBase:
    """XLM-RoBERTa's and DeBERTa-v3's kind."""
    words = ["▁" + word for word in _WORDS]
    letters = sorted(set("".join(words)))
    parts = [part for word in words for part in (word[: _BEGINNING + 1], word[_BEGINNING + 1 :]) if len(part) > 1]
    pieces = dict.fromkeys([*_SPECIAL, *letters, *parts])  # a letter costs twice what a longer piece does
    backend = Tokenizer(models.Unigram([(piece, -8.0 if piece in letters else -4.0) for piece in pieces], unk_id=1))
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    return _wrapped(backend, *_SPECIAL, **kwargs)


def _wrapped(
    backend: Tokenizer, pad: str, unk: str, cls: str, sep: str, mask: str, **kwargs: Any
) -> PreTrainedTokenizerBase:
    backend.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", special_tokens=[(cls, backend.token_to_id(cls)), (sep, backend.token_to_id(sep))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=pad,
        unk_token=unk,
        cls_token=cls,
        sep_token=sep,
        mask_token=mask,
        **kwargs,
    )


_TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "roberta": byte_level_tokenizer,
    "modernbert": byte_level_tokenizer,
    "xlm-roberta": sentence_piece_tokenizer,
    "deberta-v2": sentence_piece_tokenizer,
}


def config(model_type: str = "bert", **fields: Any) -> SpertConfig:
    """A configuration over a tiny encoder."""
    pieces = tokenizer(model_type)
    encoder_config = {
        "model_type": model_type,
        "vocab_size": len(pieces),
        "pad_token_id": pieces.pad_token_id,
        "cls_token_id": pieces.cls_token_id,
        "sep_token_id": pieces.sep_token_id,
        "bos_token_id": pieces.cls_token_id,
        "eos_token_id": pieces.sep_token_id,
        **ENCODERS[model_type],
    }
    defaults: dict[str, Any] = {
        "encoder_config": encoder_config,
        "entity_types": ENTITY_TYPES,
        "relation_types": RELATION_TYPES,
        "symmetric_relations": SYMMETRIC,
    }
    return SpertConfig(**(defaults | fields))


def model(model_type: str = "bert", seed: int = 0, **fields: Any) -> SpertModel:
    """A model with random weights, drawn wide so that it finds some entities and relations, in evaluation mode."""
    torch.manual_seed(seed)
    made = SpertModel(config(model_type, **fields))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.ndim > 1 and "embedding" not in name:
                parameter.normal_(std=0.3)
    return made.eval()


def processor(model_type: str = "bert") -> SpertProcessor:
    """The processor for a tiny encoder."""
    return SpertProcessor(tokenizer(model_type), max_pieces=config(model_type).max_pieces)


def choosy_model(model_type: str = "bert", seed: int = 0, **fields: Any) -> SpertModel:
    """A random model that calls some of the spans entities and relates some of their pairs, as a trained one does."""
    made = model(model_type, seed, **fields)
    with torch.no_grad():
        made.span_classifier.linear.bias[0] += 4.0
        if made.pair_classifier is not None:
            made.pair_classifier.linear.bias -= 1.0
    return made
