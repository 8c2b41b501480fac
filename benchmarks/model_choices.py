"""What does each choice of the heads cost, on top of the encoder's forward passes alone?

    python -m benchmarks.model_choices --model outputs/conll04-42 --data_dir data/conll04
    python -m benchmarks.model_choices --model outputs/conll04-42 --data_dir data/conll04 --only "mlp" --cpu_time

All models share the encoder and the span head of one that was trained with the paper's choices: they find the same
entities. What their heads have besides is untrained, and costs what it would cost when trained. The choices are those
of docs/model.md.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import machine, print_table, ratio_to, times_in_turns
from benchmarks.models import RememberedEncoder, add_sentence_flags, sentences_of
from spert.configuration_spert import SpertConfig
from spert.modeling_spert import SpertModel
from spert.prediction import predict
from spert.processing_spert import SpertProcessor

MLP: dict[str, Any] = {"relation_head": "mlp"}
CHOICES: dict[str, dict[str, Any]] = {
    "the paper's": {},
    "mlp": MLP,
    "mlp, hidden layer of 512": MLP | {"relation_hidden_size": 512},
    "mlp, types": MLP | {"entity_type_features": True},
    "mlp, distances": MLP | {"distance_embedding_size": 25},
    "mlp, boundaries": MLP | {"span_boundaries": True},
    "mlp, window of 3 words": MLP | {"context_window": 3},
    "mlp, attention": MLP | {"relation_context": "attention"},
    "all of these": MLP
    | {
        "entity_type_features": True,
        "distance_embedding_size": 25,
        "span_boundaries": True,
        "relation_context": "attention",
        "context_window": 3,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a trained model's folder")
    add_sentence_flags(parser)
    parser.add_argument("--only", action="append", choices=list(CHOICES), help="choices to measure; default: all")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--cpu_time", action="store_true", help="the processor's seconds, where other programs share the machine"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    arguments = parser.parse_args()
    title, sentences = sentences_of(arguments)
    run(arguments, title, sentences, SpertProcessor.from_pretrained(arguments.model))


@torch.inference_mode()
def run(arguments: argparse.Namespace, title: str, sentences: list[list[str]], processor: SpertProcessor) -> None:
    size = arguments.batch_size
    encoded = sorted(processor.encode(sentences), key=lambda sentence: len(sentence.input_ids), reverse=True)
    batches = [
        processor.pad(encoded[first : first + size]).to(arguments.device) for first in range(0, len(encoded), size)
    ]
    names = arguments.only or list(CHOICES)
    trained = SpertModel.from_pretrained(arguments.model)
    models = {name: make_model(trained, CHOICES[name], arguments) for name in names}
    encoder = next(iter(models.values())).encoder
    remembered = RememberedEncoder(encoder, batches)
    found = {}
    for name, model in models.items():
        model.encoder = encoder  # one set of weights stays in the caches, whichever model runs
        outputs = [model(**batch) for batch in batches]
        found[name] = sum(len(one.candidate_entities) for one in outputs), sum(map(num_pairs, outputs))

    def encoder_alone() -> None:
        for batch in batches:
            encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])

    def heads(model: SpertModel) -> Callable[[], None]:
        def task() -> None:
            model.encoder = remembered
            for batch in batches:
                model(**batch)
            model.encoder = encoder

        return task

    def extraction(model: SpertModel) -> Callable[[], object]:
        return lambda: predict(model, processor, sentences, batch_size=size)

    tasks: dict[str, Callable[[], object]] = {"encoder alone": encoder_alone}
    for name, model in models.items():
        tasks |= {f"{name}, heads": heads(model), f"{name}, extraction": extraction(model)}
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    seconds = times_in_turns(tasks, arguments.rounds, arguments.device, clock)
    rows = [
        [
            name,
            *found[name],
            f"{heads_parameters(model):,}",
            f"{ratio_to(seconds, f'{name}, heads', 'encoder alone'):.3f}",
            f"{ratio_to(seconds, f'{name}, extraction', 'encoder alone'):.3f}",
        ]
        for name, model in models.items()
    ]
    print_table(
        f"{Path(arguments.model).name}, {arguments.dtype}, {title}: {len(sentences)} sentences in batches of {size}",
        [
            "heads",
            "entities",
            "pairs",
            "parameters of the heads",
            "heads ÷ encoder alone",
            "extraction ÷ encoder alone",
        ],
        rows,
    )
    print(f"{machine(arguments.device)}; median of {arguments.rounds} rounds", flush=True)


def make_model(trained: SpertModel, fields: dict[str, Any], arguments: argparse.Namespace) -> SpertModel:
    """A model of some choice that finds the entities that a trained one finds."""
    torch.manual_seed(0)
    config = SpertConfig.from_dict(trained.config.to_dict(), **fields)
    model = SpertModel(config).eval()
    model.width_embeddings.load_state_dict(trained.width_embeddings.state_dict())
    ours, theirs = model.span_classifier.linear, trained.span_classifier.linear
    ours.weight.zero_()  # boundaries are multiplied, and decide nothing
    ours.weight[:, : theirs.in_features] = theirs.weight
    ours.bias.copy_(theirs.bias)
    model.encoder.load_state_dict(trained.encoder.state_dict())
    return model.to(arguments.device, getattr(torch, arguments.dtype))


def num_pairs(outputs: Any) -> int:
    """The candidate pairs of a batch."""
    return len(outputs.candidate_logits)


def heads_parameters(model: SpertModel) -> int:
    """How many numbers are trained besides the encoder's."""
    return sum(value.numel() for name, value in model.named_parameters() if not name.startswith("encoder."))


if __name__ == "__main__":
    main()
