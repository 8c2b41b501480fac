"""Extract on a Ray cluster: as many machines as it has, each actor with a model of its own.

    python examples/ray_extraction.py --model outputs/demo --input sentences.jsonl --output extracted/ --actors 2

The input is JSON Lines or Parquet with a column `text` or `tokens`; other columns are carried along. The output folder
holds Parquet. Ray reads, spreads, retries and writes; needs `pip install 'spert[ray]'`.
"""

import argparse

import pyarrow as pa
import ray

from spert.extraction.sinks import result_table
from spert.prediction import predict


class Extractor:
    """An actor: loads the model once, and extracts from one block of records after another."""

    def __init__(self, model: str, batch_size: int):
        import torch

        from spert import SpertModel, SpertProcessor

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = SpertModel.from_pretrained(model).eval().to(device)
        self.processor = SpertProcessor.from_pretrained(model)
        self.batch_size = batch_size

    def __call__(self, block: pa.Table) -> pa.Table:
        """What was found in each record, beside its own columns."""
        records = block.to_pylist()
        column = "tokens" if "tokens" in block.column_names else "text"
        found = predict(self.model, self.processor, [record[column] for record in records], batch_size=self.batch_size)
        return result_table(zip(records, found))


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
        fn_constructor_args=(arguments.model, arguments.batch_size),
        batch_format="pyarrow",
        batch_size=arguments.block_size,
        compute=ray.data.ActorPoolStrategy(size=arguments.actors),
        num_gpus=arguments.gpus,
    )
    extracted.write_parquet(arguments.output)


if __name__ == "__main__":
    main()
