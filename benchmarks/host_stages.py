"""What does each sentence cost the host, on one core, besides the model?

    python -m benchmarks.host_stages --model outputs/conll04-42 --data_dir data/conll04

The stages of `spert.prediction` between words and dictionaries: tokenizing, padding, decoding, dictionaries. The
tokenizer alone reads the same sentences, as its own documentation calls it. What a stage adds to it is measured in two
ways: all stages less the tokenizer alone; and all stages with the tokenizer's answers looked up, which counts only
what stands around its calls. `predict_stream` remembers the pieces of words; its stages are measured as they are once a
stream has seen its words.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.measuring import machine, print_table, times_in_turns
from benchmarks.models import add_model_flags, add_sentence_flags, load_model, sentences_of
from spert import pieces_spert
from spert.candidates_spert import ScoredCandidates
from spert.encoding_spert import EncodedDocument
from spert.inference.eager import EagerForward, run_ahead
from spert.modeling_spert import SpertModel
from spert.options_spert import DecodingOptions
from spert.processing_spert import SpertProcessor

GOAL = 25.0
"""Microseconds a sentence beyond the tokenizer."""

Rows = list[tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_flags(parser)
    add_sentence_flags(parser)
    parser.add_argument("--batch_size", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    title, sentences = sentences_of(arguments)
    model, processor = load_model(arguments, sentences)
    columns = {size: measure(model, processor, sentences, size, arguments.rounds) for size in arguments.batch_size}
    names = list(next(iter(columns.values())))
    print_table(
        f"{title}, {len(sentences)} sentences: microseconds a sentence",
        ["Stage", *(f"batches of {size}" for size in columns)],
        [[name, *(f"{column[name]:.1f}" for column in columns.values())] for name in names],
    )
    print(f"{machine()}; median of {arguments.rounds} rounds; the goal beyond the tokenizer is {GOAL:.0f}", flush=True)


@torch.inference_mode()
def measure(
    model: SpertModel, processor: SpertProcessor, sentences: Sequence[Sequence[str]], size: int, rounds: int
) -> dict[str, float]:
    """Microseconds a sentence of each stage, and of what they come to."""
    documents = processor.encode_documents(sentences)
    plan = processor.plan_batches(documents, size)
    options = DecodingOptions.of(model.config)
    batches = [processor.pad(rows_of(documents, rows)) for rows in plan]
    scored = [one.wait() for one in run_ahead(EagerForward(model), batches)]
    found: list[list[Any]] = [[None] * len(document.rows) for document in documents]
    for rows, of_batch in zip(plan, decode_all(processor, documents, plan, scored, options)):
        for (number, index), sentence in zip(rows, of_batch):
            found[number][index] = sentence
    remembered: dict[str, list[int]] = {}
    processor.encode_documents(sentences, remembered=remembered)
    tasks: dict[str, Callable[[], object]] = {
        "tokenizer alone": lambda: processor.tokenizer(sentences, is_split_into_words=True),
        "tokenizing": lambda: processor.encode_documents(sentences),
        "tokenizing, words remembered": lambda: processor.encode_documents(sentences, remembered=remembered),
        "tokenizing, tokenizer looked up": looked_up(lambda: processor.encode_documents(sentences)),
        "padding": lambda: [processor.pad(rows_of(documents, rows)) for rows in plan],
        "decoding": lambda: decode_all(processor, documents, plan, scored, options),
        "dictionaries": lambda: [processor.merge(one, rows, options) for one, rows in zip(documents, found)],
    }
    seconds = times_in_turns(tasks, rounds)
    sums = {
        "all": ("tokenizing", "padding", "decoding", "dictionaries"),
        "all, words remembered": ("tokenizing, words remembered", "padding", "decoding", "dictionaries"),
        "all, tokenizer looked up": ("tokenizing, tokenizer looked up", "padding", "decoding", "dictionaries"),
    }
    for name, parts in sums.items():
        seconds[name] = [sum(values) for values in zip(*(seconds[part] for part in parts))]
    for name in ("all", "all, words remembered"):
        seconds[f"{name} − tokenizer alone"] = [
            whole - alone for whole, alone in zip(seconds[name], seconds["tokenizer alone"])
        ]
    return {name: 1e6 * statistics.median(values) / len(sentences) for name, values in seconds.items()}


def rows_of(documents: Sequence[EncodedDocument], rows: Rows) -> list[Any]:
    """The rows of a batch."""
    return [documents[number].rows[index] for number, index in rows]


def decode_all(
    processor: SpertProcessor,
    documents: Sequence[EncodedDocument],
    plan: Sequence[Rows],
    scored: Sequence[ScoredCandidates],
    options: DecodingOptions,
) -> list[list[Any]]:
    """What was found in each batch."""
    return [processor.decode_candidates(one, rows_of(documents, rows), options) for rows, one in zip(plan, scored)]


def looked_up(task: Callable[[], object]) -> Callable[[], object]:
    """A task whose calls of the tokenizer are answered from memory."""
    answers: list[Any] = []
    read = pieces_spert._encodings

    def run() -> object:
        def answer(*args: Any, **kwargs: Any) -> Any:
            if not answers:
                answers.append(read(*args, **kwargs))
            return answers[0]

        pieces_spert._encodings = answer
        try:
            return task()
        finally:
            pieces_spert._encodings = read

    return run


if __name__ == "__main__":
    main()
