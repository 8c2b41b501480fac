"""The Ray job, on a real cluster of two workers on this machine."""

import importlib.util
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spert import SpertModel, SpertProcessor
from spert.prediction import predict
from tests import tiny
from tests.tolerance import assert_close

ROOT = Path(__file__).parent.parent


def example():
    spec = importlib.util.spec_from_file_location("ray_extraction", ROOT / "examples" / "ray_extraction.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_two_workers_extract_what_one_process_does(saved_model, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    import ray
    from ray.cluster_utils import Cluster

    document = "Ada Park joined Northwind Labs in Oslo. Nobody came. Maria met Tom in Quito."
    texts = [document, "", " ".join(tiny.SENTENCES[0]), "-" * 900 + "q" * 900]
    records = [{"id": number, "text": text} for number, text in enumerate(texts * 4)]
    for part in range(2):
        lines = [json.dumps(record) for record in records[part::2]]
        (tmp_path / f"{part}.jsonl").write_text("\n".join(lines))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    cluster.add_node(num_cpus=1)  # each of the two has a worker, and one CPU is left for reading and writing
    try:
        flags = ["--model", saved_model, "--input", tmp_path, "--output", tmp_path / "out", "--block_size", "8"]
        monkeypatch.setattr(sys, "argv", [str(word) for word in ["ray", *flags, "--address", cluster.address]])
        example().main()
    finally:
        ray.shutdown()
        cluster.shutdown()
    found = {record["id"]: record for record in pq.read_table(tmp_path / "out").to_pylist()}
    model, processor = SpertModel.from_pretrained(saved_model).eval(), SpertProcessor.from_pretrained(saved_model)
    expected = predict(model, processor, texts[:3])
    assert len(expected[0]["sentences"]) == 3
    assert len(found) == len(records)
    for record in records:
        row = found[record["id"]]
        if record["text"] == texts[3]:
            assert "pieces by itself" in row["error"]
            assert row["entities"] is None
            continue
        wanted = expected[texts.index(record["text"])]
        assert_close({name: row[name] for name in wanted}, wanted)
        assert row["error"] is row["windows"] is None


def test_an_actor_takes_documents_words_and_given_entities(saved_model):
    pytest.importorskip("ray")
    text = "Ada Park joined Northwind Labs in Oslo. Nobody came."
    entities = [{"start": 0, "end": 8, "type": "Person"}, {"start": 34, "end": 38, "type": "Place"}]
    block = pa.Table.from_pylist([{"id": 1, "text": text, "entities": entities}, {"id": 2, "text": "Oslo"}])
    rows = example().Extractor(str(saved_model), 2, "one", True)(block).to_pylist()
    assert [row["id"] for row in rows] == [1, 2]
    assert [entity["type"] for entity in rows[0]["entities"]] == ["Person", "Place"]
    assert rows[0]["sentences"] == [[0, len(text)]]
    words = pa.Table.from_pylist([{"tokens": tiny.SENTENCES[0], "text": "ignored"}, {"tokens": None, "text": None}])
    rows = example().Extractor(str(saved_model), 2)(words).to_pylist()
    assert rows[0]["text"] == " ".join(tiny.SENTENCES[0])
    assert "expected a text or a list of words, got None" in rows[1]["error"]
