"""How long do 10,000 annotated sentences take to load, compared with parsing their JSON alone?

    python -m benchmarks.corpus_loading

The shipped corpus, repeated; every record is checked on the first load, which fills the cache (a new one each round).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from unittest import mock

from benchmarks.measuring import print_times
from spert.corpora import load_corpus, write_spert_json

GAZETTE = Path(__file__).parent.parent / "examples" / "gazette" / "train.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    records = json.loads(GAZETTE.read_text())
    seconds: dict[str, list[float]] = {"JSON alone": [], "first load": [], "load from the cache": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "many.json"
        write_spert_json(
            file, [records[index % len(records)] | {"id": str(index)} for index in range(arguments.sentences)]
        )
        for number in range(arguments.rounds + 1):
            with mock.patch("datasets.config.HF_DATASETS_CACHE", Path(folder) / f"cache{number}"):
                for name, task in (
                    ("JSON alone", lambda: json.loads(file.read_text())),
                    ("first load", lambda: load_corpus(file)),
                    ("load from the cache", lambda: load_corpus(file)),
                ):
                    start = time.perf_counter()
                    task()
                    if number:  # the first round warms up
                        seconds[name].append(time.perf_counter() - start)
    print_times(f"{arguments.sentences} sentences", seconds, arguments.sentences, "sentences", "JSON alone")


if __name__ == "__main__":
    main()
