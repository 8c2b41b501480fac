"""How many sentences does `spert corpus suggest` save a person, against sentences drawn at random?

    python -m benchmarks.annotation_savings --data_dir data/conll04 --output outputs/savings
    python -m benchmarks.annotation_savings --output outputs/savings --table_only   # what there is so far

The training split stands in for unlabelled text, and its gold annotations for the person. Both ways start from the same
random sentences; in each round a model is trained from the encoder on what is annotated so far, scored on the test
split, and chooses the next sentences, or they are drawn. Every finished training is a file in the output folder, so
that the same command goes on where it was stopped. At the end it prints the learning curves and draws them.
"""

import argparse
import json
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from matplotlib.figure import Figure
from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup

from benchmarks.measuring import machine, print_table
from benchmarks.models import minilm
from spert.collating_spert import SpertDataCollator, SpertTrainingDataset
from spert.corpora import load_corpus, types_of
from spert.corpora.types import CorpusTypes
from spert.evaluation.evaluator import evaluate_model
from spert.files import atomic_file, read_json, write_json
from spert.modeling_spert import SpertModel
from spert.processing_spert import SpertProcessor
from spert.selection import choose_sentences, score_sentences

WAYS = ("random", "suggested")
SCORES = {"ner_micro_f1": "entities", "rel_strict_micro_f1": "strict relations"}
PICTURE = "learning_curves.png"


@dataclass(frozen=True)
class Job:
    """A training: which way, which seed, and the sentences that are annotated so far."""

    way: str
    seed: int
    indices: tuple[int, ...]

    @property
    def file(self) -> str:
        """Where its result stands."""
        return f"{self.way}-{self.seed}-{len(self.indices)}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="conll04", help="a corpus by name, or a folder of SpERT JSON")
    parser.add_argument("--data_dir", help="the folder that holds a named corpus's files")
    parser.add_argument("--model", default="minilm", help="an encoder: minilm, a folder, or a repository on the Hub")
    parser.add_argument("--output", type=Path, default=Path("outputs/savings"))
    parser.add_argument("--first", type=int, default=100, help="sentences that are annotated before the first choice")
    parser.add_argument("--step", type=int, default=100, help="sentences that are annotated in a round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--learning_rate", type=float, default=5e-5)
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--trained_layers", type=int, help="layers of the encoder that are trained, from the top; all")
    parser.add_argument("--test_sentences", type=int, help="score on so many; default: all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--table_only", action="store_true", help="train nothing: print what there is")
    arguments = parser.parse_args()
    settings = {
        name: value
        for name, value in vars(arguments).items()
        if name not in ("output", "seeds", "rounds", "table_only", "data_dir", "device")
    }
    known = arguments.output / "settings.json"
    if known.is_file() and read_json(known) != settings:
        raise SystemExit(f"{known}: holds a run with other settings, {read_json(known)}. Name another --output.")
    if not arguments.table_only:
        write_json(known, settings)
        for seed in arguments.seeds:
            run_seed(arguments, seed)
    show(arguments)


def run_seed(arguments: argparse.Namespace, seed: int) -> None:
    """All trainings of a seed that are not finished."""
    corpus = load_corpus(arguments.dataset, arguments.data_dir)
    types, pool = types_of(corpus), corpus["train"].to_list()
    test = corpus["test"]
    if arguments.test_sentences is not None:
        test = test.select(range(min(arguments.test_sentences, len(test))))
    drawn = list(range(len(pool)))
    random.Random(seed).shuffle(drawn)
    start = tuple(drawn[: arguments.first])
    # Both ways have their first model in common.
    result = run_job(arguments, Job("first", seed, start), pool, types, test)
    for way in WAYS:
        indices, chosen = start, result["chosen"]
        for _ in range(arguments.rounds):
            following = chosen if way == "suggested" else [index for index in drawn if index not in set(indices)]
            indices = (*indices, *following[: arguments.step])
            chosen = run_job(arguments, Job(way, seed, indices), pool, types, test)["chosen"]


def run_job(
    arguments: argparse.Namespace, job: Job, pool: Sequence[Mapping[str, Any]], types: CorpusTypes, test: Dataset
) -> dict[str, Any]:
    """The scores of a training, and what its model would have annotated next; made, or read where it is finished."""
    place = arguments.output / job.file
    if place.is_file():
        made: dict[str, Any] = read_json(place)
        return made
    encoder = minilm() if arguments.model == "minilm" else arguments.model
    processor = SpertProcessor.from_encoder(encoder)
    torch.manual_seed(job.seed)
    model = SpertModel.from_encoder(encoder, **types.config_fields()).to(arguments.device)
    train(arguments, model, processor, [pool[index] for index in job.indices], job.seed)
    scores, _ = evaluate_model(model, processor, test)
    known = set(job.indices)
    left = [index for index in range(len(pool)) if index not in known]
    chosen = []
    if job.way != "random":
        scored = score_sentences(model, processor, [list(pool[index]["tokens"]) for index in left])
        chosen = [left[index] for index in choose_sentences(scored, arguments.step)]
    made = {"scores": {name: scores[name] for name in SCORES}, "chosen": chosen, "indices": list(job.indices)}
    write_json(place, made, indent=None)
    print(f"{job.file}: {made['scores']}", flush=True)
    return made


def train(
    arguments: argparse.Namespace,
    model: SpertModel,
    processor: SpertProcessor,
    records: Sequence[Mapping[str, Any]],
    seed: int,
) -> None:
    """AdamW with warm-up and linear decay, as `train_accelerate.py` does it."""
    rows = SpertTrainingDataset(records, processor, model.config, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    if arguments.trained_layers is not None:  # a fraction of the time of a step
        model.encoder.requires_grad_(False)
        for layer in list(model.encoder.encoder.layer)[-arguments.trained_layers :]:
            layer.requires_grad_(True)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    loader: Any = DataLoader(
        rows,  # type: ignore[arg-type]
        batch_size=arguments.batch_size,
        shuffle=True,
        collate_fn=SpertDataCollator(processor),
        generator=generator,
    )
    groups: list[dict[str, Any]] = [
        {"params": [one for one in trained if one.ndim > 1], "weight_decay": 0.01},
        {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=arguments.learning_rate, fused=True)
    steps = arguments.epochs * len(loader)
    schedule = get_linear_schedule_with_warmup(optimizer, round(0.1 * steps), steps)
    model.train()
    for epoch in range(arguments.epochs):
        rows.set_epoch(epoch)
        for batch in loader:
            loss = model(**{name: value.to(arguments.device) for name, value in batch.items()}).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


Curves = dict[str, dict[int, list[dict[str, float]]]]
"""For each way, the number of annotated sentences to the scores of each seed."""


def read_curves(folder: Path) -> Curves:
    """All finished trainings; the common first one belongs to both ways."""
    curves: Curves = {way: {} for way in WAYS}
    for file in sorted(folder.glob("*-*-*.json")):
        way, _, number = file.stem.split("-")
        for name in WAYS if way == "first" else (way,):
            curves[name].setdefault(int(number), []).append(read_json(file)["scores"])
    return {way: dict(sorted(of_way.items())) for way, of_way in curves.items()}


def sentences_for(curve: Mapping[int, Sequence[Mapping[str, float]]], name: str, score: float) -> float | None:
    """How many sentences it takes to reach a score, between two measured numbers in proportion; `None`: not reached."""
    points = [(number, statistics.mean(one[name] for one in scores)) for number, scores in curve.items()]
    for (first, low), (second, high) in pairwise(points):
        if low < score <= high:
            return first + (second - first) * (score - low) / (high - low)
    return float(points[0][0]) if points and points[0][1] >= score else None


def show(arguments: argparse.Namespace) -> None:
    """Print the tables, and draw the picture."""
    curves = read_curves(arguments.output)
    for name, title in SCORES.items():
        rows = []
        for number in sorted({number for curve in curves.values() for number in curve}):
            cells = []
            for way in WAYS:
                values = [one[name] for one in curves[way].get(number, [])]
                spread = f" ({min(values):.2%} to {max(values):.2%}, {len(values)} seeds)" if values else ""
                cells.append(f"{statistics.mean(values):.2%}{spread}" if values else "")
            rows.append([number, *cells])
        print_table(f"{title}, F1 on the test split", ["annotated sentences", *WAYS], rows)
        last = max(curves["random"], default=None)
        if last is not None:
            goal = statistics.mean(one[name] for one in curves["random"][last])
            needed = sentences_for(curves["suggested"], name, goal)
            if needed is not None:
                print(f"{title}: {needed:.0f} suggested sentences reach what {last} random ones do, {goal:.2%} F1")
    print(f"{json.dumps(read_json(arguments.output / 'settings.json'))}\n{machine(arguments.device)}")
    draw(curves, arguments.output / PICTURE)


def draw(curves: Curves, path: Path) -> None:
    """The learning curves: the mean over seeds, and the range."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for panel, (name, title) in zip(figure.subplots(1, len(SCORES)), SCORES.items()):
        for way in WAYS:
            numbers = list(curves[way])
            values = [[100 * one[name] for one in scores] for scores in curves[way].values()]
            panel.plot(numbers, list(map(statistics.mean, values)), marker=".", label=way)
            panel.fill_between(numbers, list(map(min, values)), list(map(max, values)), alpha=0.2)
        panel.set(xlabel="annotated sentences", ylabel="micro F1 (%)", title=title)
        panel.grid(alpha=0.3)
        panel.legend()
    with atomic_file(path) as staging:
        figure.savefig(staging, dpi=120, format="png", metadata={"Software": None})


if __name__ == "__main__":
    main()
