"""A model whose weights are set by hand: it knows a few names and verbs, and needs no training and no download.

    python examples/hand_made.py "Ada Park joined Northwind Labs. She lives in Oslo."

It is a `SpertModel` like any other, to try out what can be done with one: `docs/extraction.md` uses it. Its encoder
has no layers: a word's vector is one-hot and says what kind of word it is, and a pooled span says which kinds are in
it. The two classifiers count: an entity needs the right words in the right number, a relation its verb between two
entities.
"""

import sys

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from spert import SpertConfig, SpertModel, SpertProcessor

WORDS = {
    "first": ["ada", "vera", "nils"],
    "last": ["park", "lund"],
    "organization": ["northwind", "polar"],
    "labs": ["labs", "kayaks"],
    "university": ["university"],
    "of": ["of"],
    "place": ["oslo", "quito", "tromso"],
    "joined": ["joined", "founded"],
    "lives": ["lives", "lived"],
    "married": ["married"],
}
"""Kinds of words. All other words are of one more kind."""

ENTITIES = {
    "Person": {"first": 6, "last": 6, "2 words": 6},
    "Organization": {"organization": 6, "labs": 6, "2 words": 6, "university": 8, "of": 0, "place": 0, "3 words": 10},
    "Place": {"place": 18},
}
"""What speaks for a type. 15 points are no entity yet, and each other kind of word counts 30 against it."""

RELATIONS = {
    "works_for": ("joined", ["first"], ["organization", "university"]),
    "lives_in": ("lives", ["first"], ["place"]),
    "married_to": ("married", ["first"], ["first"]),
}
"""The verb between the two entities, and what head and tail hold. Each counts 4 points, 10 are no relation yet."""

MAX_PIECES = 64
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
_KINDS = [*WORDS, "other"]


def hand_made() -> tuple[SpertModel, SpertProcessor]:
    """The model and its processor."""
    vocabulary = [*_SPECIAL, *(word for words in WORDS.values() for word in words)]
    config = SpertConfig(
        encoder_config={
            "model_type": "bert",
            "vocab_size": len(vocabulary),
            "hidden_size": len(_KINDS),
            "num_hidden_layers": 0,
            "num_attention_heads": 1,
            "intermediate_size": 1,
            "max_position_embeddings": MAX_PIECES,
        },
        entity_types=list(ENTITIES),
        relation_types=list(RELATIONS),
        symmetric_relations=["married_to"],
        max_span_width=5,
        width_embedding_size=2,
    )
    model = SpertModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        _set_encoder(model, vocabulary)
        _set_span_classifier(model)
        _set_pair_classifier(model)
    return model, SpertProcessor(_tokenizer(vocabulary), max_pieces=MAX_PIECES)


def _set_encoder(model: SpertModel, vocabulary: list[str]) -> None:
    kind_of = {word: number for number, kind in enumerate(WORDS) for word in WORDS[kind]}
    embeddings = model.encoder.embeddings
    for piece, word in enumerate(vocabulary):
        embeddings.word_embeddings.weight[piece, kind_of.get(word, len(WORDS))] = 1.0
    # The layer norm spreads a one-hot vector; these give 1 and 0 back.
    number = len(_KINDS)
    embeddings.LayerNorm.weight.fill_((number - 1) ** 0.5 / number)
    embeddings.LayerNorm.bias.fill_(1 / number)
    model.width_embeddings.weight[2, 0] = 1.0
    model.width_embeddings.weight[3, 1] = 1.0


def _set_span_classifier(model: SpertModel) -> None:
    linear, hidden = model.span_classifier.linear, len(_KINDS)  # [classifier piece, span, width]
    for row, points in enumerate(ENTITIES.values(), start=1):
        for number, kind in enumerate(_KINDS):
            linear.weight[row, hidden + number] = points.get(kind, -30)
        linear.weight[row, 2 * hidden] = points.get("2 words", 0)
        linear.weight[row, 2 * hidden + 1] = points.get("3 words", 0)
        linear.bias[row] = -15.0


def _set_pair_classifier(model: SpertModel) -> None:
    linear, hidden = model.pair_classifier.linear, len(_KINDS)  # [context, head, tail, width of head, width of tail]
    for row, (verb, heads, tails) in enumerate(RELATIONS.values()):
        linear.weight[row, _KINDS.index(verb)] = 4.0
        for kind in heads:
            linear.weight[row, hidden + _KINDS.index(kind)] = 4.0
        for kind in tails:
            linear.weight[row, 2 * hidden + _KINDS.index(kind)] = 4.0
        linear.bias[row] = -10.0


def _tokenizer(vocabulary: list[str]) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordPiece({word: index for index, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(piece, vocabulary.index(piece)) for piece in ("[CLS]", "[SEP]")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


if __name__ == "__main__":
    from spert.prediction import predict

    print(predict(*hand_made(), sys.argv[1:]))
