"""All that is asked of a GPU, in one command: forward, extraction, training step and `spert predict`.

    python -m benchmarks.gpu --data_dir data/conll04

For each model, on CoNLL04's training sentences in bfloat16:

* the encoder alone, as good as it can be made: SDPA with transformers' own mask, with a ready one, and as captured CUDA
  graphs of the very batches, at each batch size; the fastest of them is what everything is divided by;
* encoder and heads: the model's own forward, launched ahead, and captured; at each batch size;
* extraction end to end, texts to dictionaries, as a stream of many sentences, with and without graphs;
* the textbook's way, one sentence at a time, which stands in for the original implementation (its forward alone,
  without its reading and writing, so that it is faster here than there);
* the pieces that the encoder reads for each one that a sentence has, in windows as a stream reads them;
* launches and synchronisations of a batch;
* a training step against the encoder's own;
* `spert predict` in one process and in two on the same GPU.

Everything of a table takes turns in one process. On a CPU the same command runs with fixed shapes in place of captured
graphs: `--device cpu --dtype float32` with a few sentences.
"""

import argparse
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import training_speed
from benchmarks.dense_baseline import dense_forward
from benchmarks.measuring import machine, print_table, synchronize, times_in_turns
from benchmarks.models import load_model
from spert.batches_spert import SpertBatch
from spert.corpora import load_corpus
from spert.inference.captured import captured_forward
from spert.inference.eager import EagerForward, Forward, run_ahead
from spert.inference.fixed import WORD_STEP, FixedForward, rounded_pieces
from spert.inference.masks import encoder_mask
from spert.modeling_spert import SpertModel
from spert.prediction import LOOK_AHEAD, predict_stream
from spert.processing_spert import SpertProcessor
from spert.training.output import save_model

PARTS = ("padding", "forward", "extraction", "launches", "training", "predict")
GOALS = {
    "bert-base": "forward 0.90 of the encoder's rate, extraction 0.80, a training step at most 1.10 × the encoder's",
    "minilm": "forward 0.80 of the encoder's rate",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    is_cuda = torch.cuda.is_available()
    parser.add_argument("--models", nargs="+", default=["bert-base", "minilm"], help="as --model of other benchmarks")
    parser.add_argument("--tokenizer", help="a trained model's folder: its tokenizer for bert-base")
    parser.add_argument("--device", default="cuda" if is_cuda else "cpu")
    parser.add_argument("--dtype", default="bfloat16" if is_cuda else "float32")
    parser.add_argument("--dataset", default="conll04")
    parser.add_argument("--data_dir", help="the folder that holds a named corpus's files")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--batch_size", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--training_batch_size", type=int, nargs="+", default=[2, 16, 64])
    parser.add_argument("--sentences", type=int, default=16_384, help="of a stream and of a forward's round")
    parser.add_argument("--single", type=int, default=256, help="sentences of the textbook's way")
    parser.add_argument("--predicted", type=int, default=1_000_000, help="sentences of spert predict")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    corpus = [list(words) for words in load_corpus(arguments.dataset, arguments.data_dir)["train"]["tokens"]]
    sentences = list(itertools.islice(itertools.cycle(corpus), arguments.sentences))
    for name in arguments.models:
        flags = argparse.Namespace(**vars(arguments) | {"model": name})
        title = f"{name.rstrip('/').rsplit('/', 1)[-1]}, {arguments.dtype}"
        print(f"\n{title}. Goals: {GOALS.get(name, 'those of bert-base')}.", flush=True)
        model, processor = load_model(flags, corpus)
        if "padding" in arguments.parts:
            print_padding(flags, title, model, processor, sentences)
        rate = 0.0
        if "forward" in arguments.parts:
            rate = measure_forward(flags, title, model, processor, sentences)
        if "extraction" in arguments.parts:
            measure_extraction(flags, title, model, processor, sentences, rate)
        if "launches" in arguments.parts:
            print_launches(flags, title, model, processor, sentences)
        if "predict" in arguments.parts:
            measure_predict(flags, title, model, processor, sentences)
        if "training" in arguments.parts:
            measure_training(flags)
    print(f"\n{machine(arguments.device)}; median of {arguments.rounds} rounds", flush=True)


def in_batches(processor: SpertProcessor, sentences: Sequence[Any], size: int, pinned: bool) -> list[SpertBatch]:
    """Sentences of like length together, as `predict` puts them."""
    encoded = sorted(processor.encode(sentences), key=lambda sentence: len(sentence.input_ids), reverse=True)
    return [processor.pad(encoded[first : first + size], pin_memory=pinned) for first in range(0, len(encoded), size)]


def forwards_of(model: SpertModel, size: int, rows: int) -> dict[str, Forward]:
    """The ways in which batches pass a model."""
    if model.device.type == "cuda":
        return {"launched ahead": EagerForward(model), "captured graphs": captured_forward(model, size)}
    return {"launched ahead": EagerForward(model), "fixed shapes": FixedForward(model, min(size, rows))}


def print_padding(
    arguments: argparse.Namespace, title: str, model: SpertModel, processor: SpertProcessor, sentences: list[Any]
) -> None:
    """How much is padding, and how many shapes there are."""
    sizes = sorted(((len(row.input_ids), len(row.words)) for row in processor.encode(sentences)), reverse=True)
    held = sum(pieces for pieces, _ in sizes)
    ways: dict[str, Callable[[int], int]] = {
        "as they are": lambda pieces: pieces,
        "fixed shapes": lambda pieces: rounded_pieces(pieces, model.config.max_pieces),
        "multiples of 8": lambda pieces: -(-pieces // 8) * 8,
    }
    rows = []
    for size in arguments.batch_size:
        shuffled = random.Random(0).sample(sizes, len(sizes))
        windows = [
            sorted(shuffled[first : first + LOOK_AHEAD * size], reverse=True)
            for first in range(0, len(shuffled), LOOK_AHEAD * size)
        ]
        batches = [window[first : first + size] for window in windows for first in range(0, len(window), size)]
        for name, padded in ways.items():
            read = sum(len(batch) * padded(batch[0][0]) for batch in batches)
            words = [-(-max(words for _, words in batch) // WORD_STEP) * WORD_STEP for batch in batches]
            shapes = {(padded(batch[0][0]), number) for batch, number in zip(batches, words)}
            rows.append([name, size, f"{read / held:.3f}", len(shapes), len(batches)])
    header = ["Padded", "batch", "pieces read ÷ held", "shapes", "of batches"]
    print_table(f"{title}: {len(sentences)} sentences in windows of {LOOK_AHEAD} batches", header, rows)


@torch.inference_mode()
def measure_forward(
    arguments: argparse.Namespace, title: str, model: SpertModel, processor: SpertProcessor, sentences: list[Any]
) -> float:
    """Sentences a second of the encoder alone at its best, after a table of all ways to run it and the model."""
    device = torch.device(arguments.device)
    tasks: dict[str, Callable[[], object]] = {}
    for size in arguments.batch_size:
        on_host = in_batches(processor, sentences, size, device.type == "cuda")
        on_device = [{name: value.to(device) for name, value in batch.items()} for batch in on_host]
        masks = [
            encoder_mask(model.encoder, host["attention_mask"], one["attention_mask"])
            for host, one in zip(on_host, on_device)
        ]
        for name, task in encoder_tasks(model, on_device, masks).items():
            tasks[f"encoder alone, {name}, {size}"] = task
        tasks[f"model, {size}"] = lambda batches=on_device: [model(**batch) for batch in batches]
        for name, forward in forwards_of(model, size, len(sentences)).items():
            tasks[f"model, {name}, {size}"] = run_through(forward, on_host)
    seconds = times_in_turns(tasks, arguments.rounds, device)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    best = min((name for name in medians if name.startswith("encoder alone")), key=medians.__getitem__)
    rows = [
        [
            name,
            *(f"{1000 * value:.1f} ms" for value in (medians[name], min(values), max(values))),
            f"{len(sentences) / medians[name]:.0f}",
            f"{statistics.median(base / one for base, one in zip(seconds[best], values)):.3f}",
        ]
        for name, values in seconds.items()
    ]
    header = ["Forward", "Median", "Fastest", "Slowest", "sentences a second", "÷ encoder's best rate"]
    print_table(f"{title}: {len(sentences)} sentences; the encoder's best: {best}", header, rows)
    return len(sentences) / medians[best]


def mask_of(model: SpertModel, on_host: SpertBatch, on_device: dict[str, torch.Tensor]) -> torch.Tensor | None:
    """The mask that the encoder can be called with without a synchronisation."""
    return encoder_mask(model.encoder, on_host["attention_mask"], on_device["attention_mask"])


def encoder_tasks(
    model: SpertModel, batches: list[dict[str, torch.Tensor]], masks: list[torch.Tensor | None]
) -> dict[str, Callable[[], object]]:
    """Ways to run the encoder alone over batches that are on the device."""
    encoder = model.encoder

    def plain() -> None:
        for batch in batches:
            encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])

    def ready() -> None:
        for batch, mask in zip(batches, masks):
            encoder(input_ids=batch["input_ids"], attention_mask=mask)

    tasks: dict[str, Callable[[], object]] = {"own mask": plain, "ready mask": ready}
    if model.device.type == "cuda":
        ready()
        pool = torch.cuda.graph_pool_handle()
        graphs = []
        for batch, mask in zip(batches, masks):
            graphs.append(torch.cuda.CUDAGraph())
            with torch.cuda.graph(graphs[-1], pool=pool):
                encoder(input_ids=batch["input_ids"], attention_mask=mask)
        tasks["captured graphs"] = lambda: [graph.replay() for graph in graphs]
    return tasks


def run_through(forward: Forward, batches: list[SpertBatch]) -> Callable[[], object]:
    """Run batches and bring what was found to the host."""
    return lambda: [scored.wait() for scored in run_ahead(forward, batches)]


def measure_extraction(
    arguments: argparse.Namespace,
    title: str,
    model: SpertModel,
    processor: SpertProcessor,
    sentences: list[Any],
    rate: float,
) -> None:
    """Words to dictionaries, in one process, and the textbook's way."""
    device = torch.device(arguments.device)
    singles = [processor(words, is_split_into_words=True).to(device) for words in sentences[: arguments.single]]
    textbook = "textbook, one at a time"
    tasks: dict[str, Callable[[], object]] = {textbook: lambda: [dense_forward(model, one) for one in singles]}
    counts = {textbook: len(singles)}
    for size, graphs in itertools.product(arguments.batch_size, (False, True) if device.type == "cuda" else (False,)):
        name = f"extraction, {size}{', graphs' * graphs}"
        tasks[name] = lambda size=size, graphs=graphs: sum(
            1 for _ in predict_stream(model, processor, sentences, batch_size=size, cuda_graphs=graphs)
        )
        counts[name] = len(sentences)
    seconds = times_in_turns(tasks, arguments.rounds, device)
    rates = {name: counts[name] / statistics.median(values) for name, values in seconds.items()}
    rows = [
        [
            name,
            f"{found:.0f}",
            f"{found / rate:.3f}" if rate else "–",
            f"{found / rates[textbook]:.1f}",
        ]
        for name, found in rates.items()
    ]
    header = ["Extraction", "sentences a second", "÷ encoder's best rate", "÷ textbook"]
    print_table(f"{title}: texts to dictionaries, one process", header, rows)


@torch.inference_mode()
def print_launches(
    arguments: argparse.Namespace, title: str, model: SpertModel, processor: SpertProcessor, sentences: list[Any]
) -> None:
    """What the host asks of the device for one batch. On a CPU: operators, and looks at a number."""
    size = arguments.batch_size[0]
    batch = in_batches(processor, sentences[:size], size, model.device.type == "cuda")[0]
    inputs = {name: value.to(model.device) for name, value in batch.items()}
    encoder, mask = model.encoder, mask_of(model, batch, inputs)
    tasks: dict[str, Callable[[], object]] = {
        "encoder alone, own mask": lambda: encoder(inputs["input_ids"], attention_mask=inputs["attention_mask"]),
        "encoder alone, ready mask": lambda: encoder(inputs["input_ids"], attention_mask=mask),
        "model": lambda: model(**inputs),
    }
    tasks |= {
        f"model, {name}": run_through(forward, [batch])
        for name, forward in forwards_of(model, size, len(batch.sentences)).items()
    }
    rows = [[name, *count_launches(task, model.device)] for name, task in tasks.items()]
    header = ["One batch", "launches" if model.device.type == "cuda" else "operators", "synchronisations"]
    print_table(f"{title}: a batch of {len(batch.sentences)}", header, rows)


def count_launches(task: Callable[[], object], device: torch.device) -> tuple[int, int]:
    """Launches and synchronisations of a task, by the profiler."""
    for _ in range(4):  # until everything is set up and captured
        task()
    synchronize(device)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        task()
    called = {event.key: event.count for event in profile.key_averages()}
    if device.type == "cuda":
        launches = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")
        waits = ("cudaStreamSynchronize", "cudaEventSynchronize")
        return sum(called.get(name, 0) for name in launches), sum(called.get(name, 0) for name in waits)
    looks = sum(called.get(name, 0) for name in ("aten::item", "aten::is_nonzero"))
    return sum(count for name, count in called.items() if name.startswith("aten::")), looks


def measure_training(arguments: argparse.Namespace) -> None:
    """A training step at each batch size; for both sides the encoder has the same weights and mask."""
    words = ["--model", arguments.model, "--device", arguments.device, "--dtype", arguments.dtype]
    words += ["--dataset", arguments.dataset, "--rounds", str(arguments.rounds), "--batch_size"]
    words += [*map(str, arguments.training_batch_size)]
    words += ["--sentences", str(min(64, arguments.sentences))]
    words += ["--data_dir", arguments.data_dir] if arguments.data_dir else []
    words += ["--tokenizer", arguments.tokenizer] if arguments.tokenizer else []
    training_speed.main(words)


def measure_predict(
    arguments: argparse.Namespace, title: str, model: SpertModel, processor: SpertProcessor, sentences: list[Any]
) -> None:
    """`spert predict` from JSON Lines to JSON Lines, start and joining included."""
    rows, first = [], 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder / "model", model.to("cpu", torch.float32), processor)
        source = folder / "in.jsonl"
        with source.open("w") as file:
            for words in itertools.islice(itertools.cycle(sentences), arguments.predicted):
                file.write(json.dumps({"tokens": words}) + "\n")
        graphs = ["--cuda-graphs"] * (arguments.device == "cuda")
        for processes, flags in itertools.product((1, 2), ([], graphs) if graphs else ([],)):
            command = [sys.executable, "-m", "spert", "predict", "--model", str(folder / "model"), *flags]
            command += ["--input", str(source), "--output", str(folder / "out.jsonl"), "--dtype", arguments.dtype]
            command += ["--batch-size", str(arguments.batch_size[-1]), "--num-processes", str(processes)]
            command += ["--shard-size", str(max(1, min(10_000, arguments.predicted // 4)))]
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - start
            for file in folder.glob("out.jsonl*"):
                file.unlink()
            found = arguments.predicted / seconds
            first = first or found
            rows.append([processes, " ".join(flags) or "–", f"{seconds:.0f} s", f"{found:.0f}", f"{found / first:.2f}"])
    header = ["Processes", "flags", "time", "sentences a second", "÷ one process"]
    print_table(f"{title}: spert predict of {arguments.predicted} sentences", header, rows)


if __name__ == "__main__":
    main()
