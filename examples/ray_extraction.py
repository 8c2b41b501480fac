"""Extract on a Ray cluster: as many machines as it has, each actor with a model of its own.

    python examples/ray_extraction.py --model outputs/demo --input documents.jsonl --output extracted/ --actors 2

The input is JSON Lines or Parquet with a column `text` (documents, whose sentences are found) or `tokens` (words of one
sentence); other columns are carried along. The output folder holds Parquet, a row for each record: what was found, or
the reason why nothing could be in the column `error`. Ray reads, spreads, retries and writes; needs
`pip install 'spert[ray]'`.
"""

import argparse
from typing import Any

import pyarrow as pa
import ray

from spert.extraction.parquet import result_table
from spert.extraction.records import sentence_of
from spert.prediction import Refused, predict_stream


class Extractor:
    """An actor: loads the model once, and extracts from one block of records after another.

    Args:
        model: a folder that every machine sees, or a repository on the Hub.
        batch_size: sentences that pass the encoder together.
        sentences: how a text becomes sentences, as `spert predict --sentences` says.
        given_entities: whether a record's `entities` are those that it has.
    """

    def __init__(self, model: str, batch_size: int, sentences: str | None = None, given_entities: bool = False):
        import torch

        from spert import SpertModel, SpertProcessor

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = SpertModel.from_pretrained(model).eval().to(device)
        self.processor = SpertProcessor.from_pretrained(model)
        self.batch_size = batch_size
        self.sentences = sentences
        self.given_entities = given_entities

    def __call__(self, block: pa.Table) -> pa.Table:
        """What was found in each record, beside its own columns."""
        texts = (
            sentence_of(record, sentences=self.sentences, given_entities=self.given_entities)
            for record in block.to_pylist()
        )
        found: list[dict[str, Any]] = []
        reasons: list[str | None] = []
        for result in predict_stream(self.model, self.processor, texts, batch_size=self.batch_size):
            is_refused = isinstance(result, Refused)
            found.append({} if is_refused else result)
            reasons.append(result.reason if is_refused else None)
        return result_table(block, found).append_column("error", pa.array(reasons, pa.string()))


def main() -> None:
    """Read, extract, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder that every machine sees, or a repository")
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--address", help="the cluster; default: the one that this machine belongs to, or a local one")
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--gpus", type=float, default=0, help="of each actor")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--block_size", type=int, default=1024, help="records that an actor gets at a time")
    parser.add_argument("--sentences", choices=["found", "line", "one"], help="how a text becomes sentences")
    parser.add_argument("--given_entities", action="store_true", help="take a record's entities as they are")
    arguments = parser.parse_args()

    ray.init(address=arguments.address)
    cpus = ray.cluster_resources().get("CPU", 0)
    if cpus <= arguments.actors:
        raise SystemExit(
            f"Expected a cluster with more CPUs than actors, or reading and writing would wait forever for one: got "
            f"{cpus:g} CPUs and {arguments.actors} actors. Lower --actors."
        )
    read = ray.data.read_parquet if arguments.input.endswith(".parquet") else ray.data.read_json
    extracted = read(arguments.input).map_batches(
        Extractor,
        fn_constructor_args=(
            arguments.model,
            arguments.batch_size,
            arguments.sentences,
            arguments.given_entities,
        ),
        batch_format="pyarrow",
        batch_size=arguments.block_size,
        compute=ray.data.ActorPoolStrategy(size=arguments.actors),
        num_gpus=arguments.gpus,
    )
    extracted.write_parquet(arguments.output)


if __name__ == "__main__":
    main()
