"""How much does extraction cost on top of the encoder's forward passes alone?

    python -m benchmarks.extraction_speed --model outputs/conll04-42 --data_dir data/conll04

Extraction is everything from words to dictionaries: tokenizing, padding, encoder, heads, decoding. The encoder alone
runs on the same batches, padded beforehand.
"""

import argparse

import torch

from benchmarks.measuring import print_times, times_in_turns
from spert.corpora import load_corpus
from spert.modeling_spert import SpertModel
from spert.prediction import predict
from spert.processing_spert import SpertProcessor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a trained model: a folder or a repository on the Hub")
    parser.add_argument("--dataset", default="conll04", help="a corpus by name, or a folder or file of SpERT JSON")
    parser.add_argument("--data_dir", help="the folder that holds a named corpus's files")
    parser.add_argument("--split", default="test")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()

    model = SpertModel.from_pretrained(arguments.model).eval()
    processor = SpertProcessor.from_pretrained(arguments.model)
    sentences = [list(words) for words in load_corpus(arguments.dataset, arguments.data_dir)[arguments.split]["tokens"]]
    # The batches that `predict` makes: sentences of like length together.
    encoded = sorted(processor.encode(sentences), key=lambda sentence: len(sentence.input_ids), reverse=True)
    batches = [
        processor.pad(encoded[first : first + arguments.batch_size])
        for first in range(0, len(encoded), arguments.batch_size)
    ]
    in_input_order = processor.encode(sentences)

    @torch.inference_mode()
    def encoder_alone() -> None:
        for batch in batches:
            model.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])

    @torch.inference_mode()
    def model_forward() -> None:
        for batch in batches:
            model(**batch)

    def extraction() -> None:
        predict(model, processor, sentences, batch_size=arguments.batch_size)

    @torch.inference_mode()
    def encoder_in_input_order() -> None:
        for first in range(0, len(in_input_order), arguments.batch_size):
            batch = processor.pad(in_input_order[first : first + arguments.batch_size])
            model.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])

    seconds = times_in_turns(
        {
            "encoder alone": encoder_alone,
            "encoder and heads": model_forward,
            "extraction": extraction,
            "encoder alone, batches in input order": encoder_in_input_order,
        },
        arguments.rounds,
    )
    title = f"{arguments.dataset} {arguments.split}, {len(sentences)} sentences in batches of {arguments.batch_size}"
    print_times(title, seconds, len(sentences), "sentences", "encoder alone")


if __name__ == "__main__":
    main()
