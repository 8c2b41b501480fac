"""The Ray job, on a real cluster of two workers on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spert import SpertModel, SpertProcessor
from spert.prediction import predict
from tests import tiny
from tests.tolerance import assert_close

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_two_workers_extract_what_one_process_does(saved_model, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    from ray.cluster_utils import Cluster

    records = [{"id": number, "tokens": words} for number, words in enumerate(tiny.SENTENCES * 10)]
    for part in range(2):
        lines = [json.dumps(record) for record in records[part::2]]
        (tmp_path / f"{part}.jsonl").write_text("\n".join(lines))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    try:
        flags = ["--model", saved_model, "--input", tmp_path, "--output", tmp_path / "out", "--block_size", "8"]
        command = [sys.executable, ROOT / "examples" / "ray_extraction.py", *flags, "--address", cluster.address]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    finally:
        cluster.shutdown()
    found = {record["id"]: record for record in pq.read_table(tmp_path / "out").to_pylist()}
    model, processor = SpertModel.from_pretrained(saved_model).eval(), SpertProcessor.from_pretrained(saved_model)
    expected = predict(model, processor, [record["tokens"] for record in records])
    assert len(found) == len(records)
    for record, wanted in zip(records, expected):
        assert_close({name: found[record["id"]][name] for name in wanted}, wanted)
