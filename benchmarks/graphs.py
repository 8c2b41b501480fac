"""Graphs of many results: time and peak memory of `spert graph`, for each format.

    python -m benchmarks.graphs --records 1000000

The records are made up: two sentences with five entities and three relations, whose names follow Zipf's law, as those
of a corpus do. Each format is a process of its own, so that its peak of memory is its own.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.measuring import machine, print_table

TYPES = ("Person", "Organization", "Place", "Person", "Place")
RELATIONS = (("works_for", 0, 1), ("located_in", 1, 2), ("lives_in", 3, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--names", type=int, default=300_000, help="different names of each type")
    parser.add_argument("--formats", default="graphml,ttl,csv,json,html")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "found.jsonl")
        write_records(found, arguments.records, arguments.names, arguments.seed)
        for name in arguments.formats.split(","):
            target = Path(folder, name, f"facts.{name}")
            seconds, processor_seconds, peak, output = measure(found, target)
            size = sum(path.stat().st_size for path in target.parent.iterdir())
            rows.append(
                [
                    name,
                    f"{seconds:.0f} s",
                    f"{processor_seconds:.0f} s",
                    f"{arguments.records / seconds:.0f}",
                    f"{peak / 2**20:.0f} MiB",
                    f"{size / 2**20:.0f} MiB",
                    " ".join(line.rpartition(": ")[2] for line in output.splitlines() if line.startswith(folder)),
                ]
            )
            print(*rows[-1], flush=True)
            for path in target.parent.iterdir():
                path.unlink()
    header = ["format", "time", "of a processor", "records a second", "peak memory", "written", "nodes and edges"]
    print_table(f"{machine()}; {arguments.records} records", header, rows)


def write_records(path: Path, number: int, names: int, seed: int) -> None:
    """Made-up results as `spert predict` writes them."""
    generator = random.Random(seed)
    with open(path, "w", encoding="utf-8") as file:
        for record in range(number):
            chosen = [f"{kind} {zipf(generator, names)}" for kind in TYPES]
            parts = [chosen[0], " joined ", chosen[1], " in ", chosen[2], ". ", chosen[3], " lives in ", chosen[4], "."]
            starts, length = [], 0
            for part in parts:
                starts.append(length)
                length += len(part)
            text, middle = "".join(parts), starts[5] + 1
            entities = [
                {
                    "type": kind,
                    "start": starts[2 * index],
                    "end": starts[2 * index] + len(name),
                    "text": name,
                    "score": round(generator.random(), 4),
                    "sentence": int(index > 2),
                }
                for index, (kind, name) in enumerate(zip(TYPES, chosen))
            ]
            relations = [
                {"type": kind, "head": head, "tail": tail, "score": round(generator.random(), 4)}
                for kind, head, tail in RELATIONS
            ]
            result = {"id": record, "text": text, "sentences": [[0, middle], [middle + 1, length]]}
            file.write(json.dumps(result | {"entities": entities, "relations": relations}) + "\n")


def zipf(generator: random.Random, names: int) -> int:
    """A rank whose probability falls with the rank."""
    return int(names ** generator.random())


def measure(found: Path, target: Path) -> tuple[float, float, int, str]:
    """Seconds by the clock and of a processor, the peak of resident memory in bytes, and the output of a command."""
    command = [sys.executable, "-m", "spert", "graph", str(found), "--output", str(target)]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watched, peak, used = psutil.Process(process.pid), 0, 0.0
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
                used = sum(watched.cpu_times()[:2])
            except psutil.NoSuchProcess:
                break
            time.sleep(0.1)
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
    return time.perf_counter() - begin, used, peak, output


if __name__ == "__main__":
    main()
