"""Speed against F1 in reduced precision, end to end on a corpus.

    python -m benchmarks.reduced_precision --model outputs/conll04-42 --data_dir data/conll04

float32, bfloat16 and int8 with torch, the last also with some of the encoder's linear layers left out; ONNX Runtime in
float32 and int8. Int8 is dynamic quantization with a scale for each row of a weight.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import machine, print_table, ratio_to, times_in_turns
from spert.corpora import load_corpus
from spert.evaluation.scores import compute_scores
from spert.exported import ExportedModel, export_model
from spert.exported.export import quantize
from spert.modeling_spert import SpertModel
from spert.prediction import as_spert_json, predict
from spert.processing_spert import SpertProcessor
from spert.quantization import quantize_encoder

SKIPPED: dict[str, Callable[[str], bool]] = {
    "int8": lambda module: False,
    "int8, first layer left out": lambda module: "layer.0." in module,
    "int8, attention left out": lambda module: "attention" in module,
    "int8, second product of the feed-forward left out": lambda module: (
        module.endswith("output.dense") and "attention" not in module
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a trained model's folder")
    parser.add_argument("--dataset", default="conll04")
    parser.add_argument("--data_dir")
    parser.add_argument("--split", default="test")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    model = SpertModel.from_pretrained(arguments.model).eval()
    processor = SpertProcessor.from_pretrained(arguments.model)
    records = load_corpus(arguments.dataset, arguments.data_dir)[arguments.split].to_list()
    sentences = [record["tokens"] for record in records]
    models: dict[str, Any] = {
        "float32": model,
        "bfloat16": SpertModel.from_pretrained(arguments.model, dtype=torch.bfloat16).eval(),
    }
    models |= {name: quantize_encoder(model, skips) for name, skips in SKIPPED.items()}
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "onnx"
        export_model(model, processor, whole, "onnx")
        models["onnx"] = ExportedModel(whole)
        quantize(whole, Path(folder) / "int8")
        models["onnx-int8"] = ExportedModel(Path(folder) / "int8")
        tasks = {
            name: lambda one=one: predict(one, processor, sentences, batch_size=arguments.batch_size)
            for name, one in models.items()
        }
        seconds = times_in_turns(tasks, arguments.rounds)
        rows = []
        for name, one in models.items():
            found = as_spert_json(predict(one, processor, sentences, batch_size=arguments.batch_size))
            scores = compute_scores(records, found, symmetric_relations=model.config.symmetric_relations)
            values = sorted(seconds[name])
            rows.append(
                [
                    name,
                    f"{1000 * values[len(values) // 2]:.0f} ms",
                    f"{1000 * values[0]:.0f} to {1000 * values[-1]:.0f}",
                    f"{1 / ratio_to(seconds, name, 'float32'):.2f}",
                    f"{scores['ner_micro_f1']:.4f}",
                    f"{scores['rel_strict_micro_f1']:.4f}",
                ]
            )
    title = f"{arguments.dataset} {arguments.split}, {len(sentences)} sentences in batches of {arguments.batch_size}"
    print_table(title, ["", "Median", "Spread", "Speed ÷ float32's", "NER F1", "Strict relation F1"], rows)
    print(f"{machine()}; median of {arguments.rounds} rounds", flush=True)


if __name__ == "__main__":
    main()
