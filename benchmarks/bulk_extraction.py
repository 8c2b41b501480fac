"""Rate and peak memory of `spert predict` as the input grows, and a large input that is killed twice on the way.

    python -m benchmarks.bulk_extraction --sentences 10000 100000 1000000 --data_dir data/conll04

A tiny model with random weights (2 layers, 32 wide), so that reading, cutting, writing and joining weigh as much as
they can; CoNLL04's test sentences repeated, each with an id of its own. The last size is killed (SIGKILL), twice by
default, each time after another fifth of its shards, and resumed; then every id must be there once and in order.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.measuring import machine, print_table
from benchmarks.models import find_some
from spert.corpora import load_corpus
from spert.processing_spert import SpertProcessor
from spert.training.output import save_model
from tests import tiny


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--data_dir", help="the folder that holds CoNLL04's files")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--num_processes", type=int, default=2)
    parser.add_argument("--shard_size", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=2, help="of the last size")
    arguments = parser.parse_args()
    sentences = [list(words) for words in load_corpus("conll04", arguments.data_dir)["test"]["tokens"]]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = tiny.config("bert").encoder_config.to_dict() | {"max_position_embeddings": 512}
        model = tiny.model("bert", encoder_config=sizes)
        processor = SpertProcessor(tiny.tokenizer("bert"), max_pieces=512)
        find_some(model, processor(sentences[:64], is_split_into_words=True), 64)
        save_model(folder / "model", model, processor)
        for number in arguments.sentences:
            source, target = folder / f"{number}.jsonl", folder / f"{number}-found.jsonl"
            with open(source, "w") as file:
                for index in range(number):
                    tokens = sentences[index % len(sentences)]
                    file.write(json.dumps({"id": f"{index // len(sentences)}/{index}", "tokens": tokens}) + "\n")
            is_last = number == arguments.sentences[-1]
            wanted = arguments.kills if is_last else 0
            shards_between = max(1, number // arguments.shard_size // 5)
            seconds, peak, kills = run(arguments, folder / "model", source, target, wanted, shards_between)
            found = 0
            with open(target) as lines:
                for index, line in enumerate(lines):
                    assert json.loads(line)["id"] == f"{index // len(sentences)}/{index}", index
                    found += 1
            assert found == number
            rows.append(
                [
                    number,
                    f"{seconds:.0f} s",
                    f"{number / seconds:.0f}",
                    f"{peak / 2**20:.0f} MiB",
                    kills,
                    f"{target.stat().st_size / 2**20:.0f} MiB",
                ]
            )
            source.unlink()
            target.unlink()
            target.with_name(target.name + ".run.json").unlink()
    header = ["Sentences", "Time", "Sentences a second", "Peak memory of a process", "Killed", "Output"]
    print_table(f"spert predict, tiny model, {arguments.num_processes} processes", header, rows)
    print(machine(), flush=True)


def run(
    arguments: argparse.Namespace, model: Path, source: Path, target: Path, kills: int, shards_between: int
) -> tuple[float, int, int]:
    """Seconds (of all sessions together), the largest resident memory that any process had, and how often it was
    killed, which is less often than asked for if it is done before.
    """
    command = [sys.executable, "-m", "spert", "predict", "--model", str(model), "--input", str(source)]
    command += ["--output", str(target), "--batch-size", str(arguments.batch_size)]
    command += ["--num-processes", str(arguments.num_processes), "--shard-size", str(arguments.shard_size)]
    shards = target.with_name(target.name + ".shards")
    total = 0.0
    peak = killed = 0
    returncode = None
    while returncode != 0:
        start = time.perf_counter()
        done_before = len(list(shards.glob("done-*")))
        process = subprocess.Popen(command + ["--resume"] * (killed > 0), start_new_session=True)
        was_killed = False
        while process.poll() is None:
            peak = max(peak, largest_of(process.pid))
            if not was_killed and killed < kills and len(list(shards.glob("done-*"))) >= done_before + shards_between:
                os.killpg(process.pid, signal.SIGKILL)  # the processes that it launched notice, and end
                was_killed = True
            time.sleep(0.05)
        total += time.perf_counter() - start
        returncode = process.returncode
        killed += returncode == -signal.SIGKILL
        assert returncode == 0 or was_killed, returncode
    return total, peak, killed


def largest_of(process: int) -> int:
    """The largest resident memory of a process and its descendants, in bytes."""
    try:
        parent = psutil.Process(process)
        return max(one.memory_info().rss for one in [parent, *parent.children(recursive=True)])
    except psutil.Error:
        return 0


if __name__ == "__main__":
    main()
