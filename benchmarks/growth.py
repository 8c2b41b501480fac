"""How do the heads' time and memory grow with the sentence, its entities, and the batch?

    python -m benchmarks.growth

MiniLM with untrained heads that are set to find a fixed number of entities. The heads run on hidden states that the
encoder gave beforehand. Memory is the peak of the resident memory over its level before a forward, after a short
sentence has warmed it up (Linux: the peak is reset through /proc/self/clear_refs); on a GPU it is what torch allocated
at the peak.
"""

import argparse
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.measuring import machine, print_table, ratio_to, times_in_turns
from benchmarks.models import RememberedEncoder, add_model_flags, find_entities, load_model, made_sentences
from spert.batches_spert import SpertBatch
from spert.modeling_spert import SpertModel
from spert.processing_spert import SpertProcessor

PARTS = ("encoder", "heads", "model")


@dataclass(frozen=True)
class Shape:
    """A batch: words and found entities of each sentence, and sentences."""

    words: int
    entities: int
    sentences: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_flags(parser)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of a time")
    parser.add_argument("--processes", type=int, default=5, help="processes that measure each peak")
    parser.add_argument("--words", type=int, nargs="+", default=[50, 100, 200, 400])
    parser.add_argument("--entities", type=int, nargs="+", default=[5, 20, 80])
    parser.add_argument("--batch_size", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--measure", choices=PARTS, help="the peaks of one part, in this process")
    arguments = parser.parse_args()
    series = {
        "words": [Shape(words, 20, 1) for words in arguments.words],
        "entities": [Shape(100, entities, 1) for entities in arguments.entities],
        "sentences": [Shape(100, 20, size) for size in arguments.batch_size],
    }
    shapes = [shape for row in series.values() for shape in row]
    if arguments.measure:
        print(json.dumps([peak(arguments, arguments.measure, shape) for shape in shapes]))
        return
    peaks = {part: median_peaks(arguments, part, shapes) for part in PARTS}
    for name, row in series.items():
        lines = []
        first: dict[str, float] = {}
        for shape in row:
            seconds = times(arguments, shape)
            encoder, heads = (statistics.median(seconds[part]) for part in ("encoder", "heads"))
            bytes_of = {part: peaks[part][shapes.index(shape)] for part in PARTS}
            first = first or {"time": heads, "memory": bytes_of["heads"]}
            lines.append(
                [
                    getattr(shape, name),
                    f"{1000 * encoder:.2f} ms",
                    f"{1000 * heads:.2f} ms",
                    f"{heads / first['time']:.1f}",
                    f"{ratio_to(seconds, 'model', 'encoder'):.2f}",
                    *(f"{bytes_of[part] / 2**20:.1f} MiB" for part in ("encoder", "heads")),
                    f"{bytes_of['heads'] / max(first['memory'], 1):.1f}",
                    f"{bytes_of['model'] / max(bytes_of['encoder'], 1):.2f}",
                ]
            )
        header = [name.capitalize(), "Encoder", "Heads", "÷ first", "Model ÷ encoder"]
        header += ["Encoder's peak", "Heads' peak", "÷ first", "Model's peak ÷ encoder's"]
        others = {"words": "20 entities", "entities": "100 words", "sentences": "100 words and 20 entities each"}[name]
        print_table(f"Growth with {name}; {others}", header, lines)
    counts = f"median of {arguments.rounds} rounds, of {arguments.processes} processes for a peak"
    print(f"{machine(arguments.device)}; {counts}", flush=True)


def prepared(arguments: argparse.Namespace, shape: Shape) -> tuple[SpertModel, SpertProcessor, SpertBatch]:
    sentences = made_sentences(shape.words, shape.sentences)
    model, processor = load_model(arguments, sentences)
    batch = processor(sentences, is_split_into_words=True).to(arguments.device)
    find_entities(model, batch, shape.entities * shape.sentences)
    return model, processor, batch


@torch.inference_mode()
def times(arguments: argparse.Namespace, shape: Shape) -> dict[str, list[float]]:
    """Seconds of the encoder, the heads and both."""
    model, _, batch = prepared(arguments, shape)
    encoder, remembered = model.encoder, RememberedEncoder(model.encoder, [batch])
    repeats = 5

    def with_encoder(one: torch.nn.Module) -> None:
        model.encoder = one
        for _ in range(repeats):
            model(**batch)

    def encoder_alone() -> None:
        for _ in range(repeats):
            encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])

    tasks = {
        "encoder": encoder_alone,
        "model": lambda: with_encoder(encoder),
        "heads": lambda: with_encoder(remembered),
    }
    seconds = times_in_turns(tasks, arguments.rounds, arguments.device)
    return {name: [value / repeats for value in values] for name, values in seconds.items()}


def median_peaks(arguments: argparse.Namespace, part: str, shapes: list[Shape]) -> list[float]:
    """The peak of each shape, in bytes."""
    flags = ["--model", arguments.model, "--device", arguments.device, "--dtype", arguments.dtype, "--measure", part]
    for name in ("words", "entities", "batch_size"):
        flags += [f"--{name}", *map(str, getattr(arguments, name))]
    # Whatever is freed goes back at once: the next peak starts from the ground.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, "-m", "benchmarks.growth", *flags]
    runs = [
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        for _ in range(arguments.processes)
    ]
    return [statistics.median(values) for values in zip(*(json.loads(run.splitlines()[-1]) for run in runs))]


@torch.inference_mode()
def peak(arguments: argparse.Namespace, part: str, shape: Shape) -> int:
    """Bytes by which memory rises at its peak during one forward of the encoder, the heads or both."""
    model, processor, batch = prepared(arguments, shape)
    warm_up = processor(made_sentences(8, 1), is_split_into_words=True).to(arguments.device)
    encoder = model.encoder

    def forward(inputs: SpertBatch) -> object:
        if part == "encoder":
            return encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        return model(**inputs)

    if part == "heads":
        model.encoder = RememberedEncoder(encoder, [warm_up, batch])
    forward(warm_up)
    gc.collect()
    if torch.device(arguments.device).type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        forward(batch)
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    forward(batch)
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}.")


if __name__ == "__main__":
    main()
