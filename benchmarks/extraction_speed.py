"""How much does extraction cost on top of the encoder's forward passes alone, and where does it go?

    python -m benchmarks.extraction_speed --model outputs/conll04-42 --data_dir data/conll04
    python -m benchmarks.extraction_speed --model bert-base --words 200 --batch_size 16
    python -m benchmarks.extraction_speed --device cuda --dtype bfloat16 --batch_size 64 --data_dir data/conll04

Extraction is everything from words to dictionaries. The encoder alone runs on the same batches, padded and on the
device beforehand. The stages below are timed one by one; the dense baseline is the textbook's way, one sentence at a
time (`dense_baseline.py`).
"""

import argparse

import torch

from benchmarks.dense_baseline import dense_forward
from benchmarks.measuring import print_times, times_in_turns
from benchmarks.models import RememberedEncoder, add_model_flags, add_sentence_flags, load_model, sentences_of
from spert.modeling_spert import SpertModel
from spert.prediction import predict
from spert.processing_spert import SpertProcessor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_flags(parser)
    add_sentence_flags(parser)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dense", action="store_true", help="run the dense baseline, too")
    arguments = parser.parse_args()
    title, sentences = sentences_of(arguments)
    model, processor = load_model(arguments, sentences)
    run(arguments, title, sentences, model, processor)


@torch.inference_mode()
def run(
    arguments: argparse.Namespace, title: str, sentences: list[list[str]], model: SpertModel, processor: SpertProcessor
) -> None:
    device, size = arguments.device, arguments.batch_size

    def batched(encoded: list) -> list:
        return [processor.pad(encoded[first : first + size]) for first in range(0, len(encoded), size)]

    # The batches that `predict` makes: sentences of like length together.
    encoded = sorted(processor.encode(sentences), key=lambda sentence: len(sentence.input_ids), reverse=True)
    on_host = batched(encoded)
    batches = [processor.pad(batch.sentences).to(device) for batch in on_host]
    in_input_order = [batch.to(device) for batch in batched(processor.encode(sentences))]
    outputs = [model(**batch) for batch in batches]
    encoder, remembered = model.encoder, RememberedEncoder(model.encoder, batches)

    def encoder_alone(inputs: list) -> None:
        for batch in inputs:
            encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])

    def forward() -> None:
        for batch in batches:
            model(**batch)

    def heads() -> None:
        model.encoder = remembered
        forward()
        model.encoder = encoder

    def span_head() -> None:
        for batch in batches:
            hidden = remembered(batch["input_ids"], None).last_hidden_state
            model.score_candidate_spans(model.sentence_states(hidden, batch["word_pieces"], batch["cls_piece"]))

    def decode() -> None:
        for batch, output in zip(batches, outputs):
            processor.post_process_entity_relation_extraction(output, batch)

    tasks = {
        "encoder alone": lambda: encoder_alone(batches),
        "encoder and heads": forward,
        "extraction": lambda: predict(model, processor, sentences, batch_size=size),
        "· tokenizing": lambda: processor.encode(sentences),
        "· padding": lambda: [processor.pad(batch.sentences) for batch in on_host],
        "· transfer": lambda: [{name: value.to(device) for name, value in batch.items()} for batch in on_host],
        "· span head": span_head,
        "· span and pair heads": heads,
        "· decoding": decode,
        "encoder alone, batches in input order": lambda: encoder_alone(in_input_order),
    }
    if arguments.dense:
        singles = [processor.pad([sentence]).to(device) for sentence in encoded]
        tasks["dense baseline, one sentence at a time"] = lambda: [dense_forward(model, one) for one in singles]
    seconds = times_in_turns(tasks, arguments.rounds, device)
    found = sum(len(output.candidate_entities) for output in outputs)
    print_times(
        f"{arguments.model.rstrip('/').rsplit('/', 1)[-1]}, {arguments.dtype}, {title}: {len(sentences)} sentences in "
        f"batches of {size}, {found} entities found",
        seconds,
        len(sentences),
        "sentences",
        "encoder alone",
        device,
    )


if __name__ == "__main__":
    main()
