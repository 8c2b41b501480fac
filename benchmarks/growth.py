"""How do the heads' time and memory grow with the sentence, its entities, and the batch?

    python -m benchmarks.growth

MiniLM with untrained heads that are set to find a fixed number of entities. The heads run on hidden states that the
encoder gave beforehand. Memory is the peak of the resident memory over its level before a forward, each measurement in
a process of its own, after a short sentence has warmed it up (Linux: the peak is reset through /proc/self/clear_refs);
on a GPU it is what torch allocated at the peak.
"""

import argparse
import ctypes
import gc
import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.measuring import machine, print_table, ratio_to, times_in_turns
from benchmarks.models import RememberedEncoder, add_model_flags, find_entities, load_model, made_sentences
from spert.processing_spert import SpertBatch

PARTS = ("encoder", "heads", "model")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_flags(parser)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of a time; processes of a peak are 5")
    parser.add_argument("--words", type=int, nargs="+", default=[50, 100, 200, 400])
    parser.add_argument("--entities", type=int, nargs="+", default=[5, 20, 80])
    parser.add_argument("--batch_size", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--measure", nargs=4, help="part, words, entities and batch size: one peak, in this process")
    arguments = parser.parse_args()
    if arguments.measure:
        part, *numbers = arguments.measure
        print(json.dumps(peak(arguments, part, *map(int, numbers))))
        return
    middle_words, middle_entities = 100, 20
    for title, shapes in (
        ("words, 20 entities", [(words, middle_entities, 1) for words in arguments.words]),
        ("entities, 100 words", [(middle_words, entities, 1) for entities in arguments.entities]),
        (
            "sentences of 100 words",
            [(middle_words, middle_entities, size) for size in arguments.batch_size],
        ),
    ):
        rows = []
        first: dict[str, float] = {}
        for words, entities, size in shapes:
            seconds = times(arguments, words, entities, size)
            heads_time = statistics.median(seconds["heads"])
            peaks = {part: median_peak(arguments, part, words, entities, size) for part in PARTS}
            first = first or {"time": heads_time, "memory": peaks["heads"]}
            changing = {"w": words, "e": entities, "s": size}[title[0]]
            rows.append(
                [
                    changing,
                    f"{1000 * statistics.median(seconds['encoder']):.2f} ms",
                    f"{1000 * heads_time:.2f} ms",
                    f"{heads_time / first['time']:.1f}",
                    f"{ratio_to(seconds, 'model', 'encoder'):.2f}",
                    *(f"{peaks[part] / 2**20:.1f} MiB" for part in ("encoder", "heads")),
                    f"{peaks['heads'] / max(first['memory'], 1):.1f}",
                    f"{peaks['model'] / max(peaks['encoder'], 1):.2f}",
                ]
            )
        header = [title, "Encoder", "Heads", "÷ first", "Model ÷ encoder"]
        header += ["Encoder's peak", "Heads' peak", "÷ first", "Model's peak ÷ encoder's"]
        print_table(f"Growth with {title}", header, rows)
    print(f"{machine(arguments.device)}; median of {arguments.rounds} rounds, of 5 processes for a peak", flush=True)


def prepared(arguments: argparse.Namespace, words: int, entities: int, size: int) -> tuple:
    sentences = made_sentences(words, size)
    arguments.model = "minilm" if arguments.model is None else arguments.model
    model, processor = load_model(arguments, sentences)
    batch = processor(sentences, is_split_into_words=True).to(arguments.device)
    find_entities(model, batch, entities * size)
    return model, processor, batch


@torch.inference_mode()
def times(arguments: argparse.Namespace, words: int, entities: int, size: int) -> dict[str, list[float]]:
    model, _, batch = prepared(arguments, words, entities, size)
    encoder, remembered = model.encoder, RememberedEncoder(model.encoder, [batch])

    def with_encoder(one: torch.nn.Module) -> None:
        model.encoder = one
        for _ in range(5):
            model(**batch)

    def encoder_alone() -> None:
        for _ in range(5):
            encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])

    tasks = {
        "encoder": encoder_alone,
        "model": lambda: with_encoder(encoder),
        "heads": lambda: with_encoder(remembered),
    }
    seconds = times_in_turns(tasks, arguments.rounds, arguments.device)
    return {name: [value / 5 for value in values] for name, values in seconds.items()}


def median_peak(arguments: argparse.Namespace, part: str, words: int, entities: int, size: int) -> float:
    flags = ["--model", arguments.model, "--device", arguments.device, "--dtype", arguments.dtype]
    command = [sys.executable, "-m", "benchmarks.growth", *flags, "--measure", part, *map(str, (words, entities, size))]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        for _ in range(5)
    ]
    return statistics.median(runs)


@torch.inference_mode()
def peak(arguments: argparse.Namespace, part: str, words: int, entities: int, size: int) -> int:
    """Bytes by which memory rises at its peak during one forward of the encoder, the heads or both."""
    model, processor, batch = prepared(arguments, words, entities, size)
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
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # or the forward would fill what loading the weights left free
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
