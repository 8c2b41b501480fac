"""Bulk extraction: any input, constant memory, whole shards, and on after a kill."""

import json
import time
from pathlib import Path

import datasets
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spert import SpertModel, SpertProcessor
from spert.prediction import Refused, as_spert_json, predict, predict_stream
from tests import forked, tiny
from tests.extracting import lines, run, written
from tests.tolerance import assert_close

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def loaded(saved_model):
    return SpertModel.from_pretrained(saved_model).eval(), SpertProcessor.from_pretrained(saved_model)


@pytest.fixture(scope="module")
def records():
    """50 records with fields of their own."""
    sentences = (tiny.SENTENCES * 13)[:50]
    return [{"id": number, "tokens": words, "source": {"page": number}} for number, words in enumerate(sentences)]


@pytest.fixture(scope="module")
def expected(loaded, records):
    return predict(*loaded, [record["tokens"] for record in records])


class TestStream:
    def test_input_order_whatever_the_window(self, loaded, records, expected):
        for batch_size, look_ahead in ((1, 1), (3, 2), (16, 64)):
            stream = predict_stream(
                *loaded, (record["tokens"] for record in records), batch_size=batch_size, look_ahead=look_ahead
            )
            assert_close(list(stream), expected)
        assert list(predict_stream(*loaded, [])) == []

    def test_it_reads_no_further_than_two_windows(self, loaded):
        taken = []

        def endless():
            while True:
                taken.append(1)
                yield ["Oslo"]

        stream = predict_stream(*loaded, endless(), batch_size=2, look_ahead=3)
        for _ in range(7):
            next(stream)
        assert len(taken) <= 18
        stream.close()

    def test_what_cannot_be_encoded_is_refused_and_the_rest_goes_on(self, loaded, expected):
        good, long = tiny.SENTENCES[0], ["-" * 1000]
        results = list(predict_stream(*loaded, [good, long, Refused("broken"), good], batch_size=2))
        assert_close([results[0], results[3]], [expected[0]] * 2)
        assert "encoder takes at most" in results[1].reason
        assert results[2] == Refused("broken")

    @pytest.mark.parametrize("number", [0, -1])
    def test_sizes(self, loaded, number):
        with pytest.raises(ValueError, match="expected a batch_size of at least 1"):
            next(predict_stream(*loaded, [], batch_size=number))
        with pytest.raises(ValueError, match="expected a look_ahead of at least 1"):
            next(predict_stream(*loaded, [], look_ahead=number))


class TestInputsAndOutputs:
    def outcome(self, records, expected):
        return [{"id": one["id"], "source": one["source"]} | found for one, found in zip(records, expected)]

    def test_json_lines(self, saved_model, records, expected, tmp_path):
        run(
            *("predict", "--model", saved_model, "--shard-size", "7"),
            "--input",
            written(tmp_path / "in.jsonl", records),
            "--output",
            tmp_path / "out.jsonl",
        )
        assert_close(lines(tmp_path / "out.jsonl"), self.outcome(records, expected))
        assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl", "out.jsonl.run.json"}

    def test_parquet_to_parquet(self, saved_model, records, expected, tmp_path):
        pq.write_table(pa.Table.from_pylist(records), tmp_path / "in.parquet")
        run(
            *("predict", "--model", saved_model, "--shard-size", "20"),
            "--input",
            tmp_path / "in.parquet",
            "--output",
            tmp_path / "out.parquet",
        )
        found = pq.read_table(tmp_path / "out.parquet").to_pylist()
        wanted = self.outcome(records, expected)
        assert_close(
            [{name: one[name] for name in list(wanted[0])[:3]} for one in found],
            [{name: one[name] for name in list(one)[:3]} for one in wanted],
        )
        for one, other in zip(found, wanted):
            assert one["sentences"] is one["windows"] is None  # words came split
            assert_close(
                [list(entity.values())[:7] for entity in one["entities"]],
                [list(entity.values()) for entity in other["entities"]],
            )
            assert_close(one["relations"], other["relations"])

    def test_a_field_that_only_some_records_have(self, saved_model, tmp_path):
        mixed = [{"text": "Oslo", "n": 1}, {"text": "Oslo"}, {"text": "Oslo", "m": "x"}]
        run(
            "predict",
            "--model",
            saved_model,
            "--shard-size",
            "1",
            "--input",
            written(tmp_path / "in.jsonl", mixed),
            "--output",
            tmp_path / "out.parquet",
        )
        found = pq.read_table(tmp_path / "out.parquet").to_pylist()
        assert [(one["n"], one["m"]) for one in found] == [(1, None), (None, None), (None, "x")]

    def test_text(self, saved_model, tmp_path):
        (tmp_path / "in.txt").write_text("Ada Park of Oslo\n\nOslo")
        run("predict", "--model", saved_model, "--input", tmp_path / "in.txt", "--output", tmp_path / "out.jsonl")
        assert [one["text"] for one in lines(tmp_path / "out.jsonl")] == ["Ada Park of Oslo", "", "Oslo"]

    def test_a_dataset_on_disk(self, saved_model, records, expected, tmp_path):
        rows = datasets.Dataset.from_list(records)
        datasets.DatasetDict({"unseen": rows}).save_to_disk(tmp_path / "rows")
        flags = [
            "--model",
            saved_model,
            "--input",
            tmp_path / "rows",
            "--output",
            tmp_path / "shards/",
            "--shard-size",
            "30",
        ]
        assert "expected a --split out of unseen, got 'train'" in run("predict", *flags, code=1)
        run("predict", *flags, "--split", "unseen")
        parts = sorted((tmp_path / "shards").glob("part-*"))
        assert [part.name for part in parts] == ["part-00000.jsonl", "part-00001.jsonl"]
        assert_close([one for part in parts for one in lines(part)], self.outcome(records, expected))

    def test_another_column_and_spert_json(self, saved_model, expected, tmp_path):
        other = [{"orig_id": "a", "sentence": tiny.SENTENCES[0]}]
        written(tmp_path / "in.jsonl", other)
        flags = ["predict", "--model", saved_model, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "out.json"]
        assert "expected a field 'tokens' or 'text', got only ['orig_id', 'sentence']" in run(*flags, code=1)
        run(*flags, "--column", "sentence")
        (record,) = json.loads((tmp_path / "out.json").read_text())
        assert record.pop("orig_id") == "a"
        assert [record] == as_spert_json(expected[:1])

    def test_nothing_in_nothing_out(self, saved_model, tmp_path):
        (tmp_path / "in.jsonl").write_text("\n")
        run("predict", "--model", saved_model, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "out.json")
        assert json.loads((tmp_path / "out.json").read_text()) == []

    def test_bad_records_go_to_a_file_with_their_reasons(self, saved_model, tmp_path):
        content = ['{"text": "Oslo", "id": 1}', "{", '{"id": 2}', json.dumps({"tokens": ["-" * 900]}), '"Oslo"']
        (tmp_path / "in.jsonl").write_text("\n".join(content))
        printed = run(
            "predict",
            "--model",
            saved_model,
            "--shard-size",
            "2",
            "--input",
            tmp_path / "in.jsonl",
            "--output",
            tmp_path / "out.jsonl",
        )
        assert "3 of 5 entries were refused" in printed
        assert [one.get("id") for one in lines(tmp_path / "out.jsonl")] == [1, None]
        refused = lines(tmp_path / "out.jsonl.errors.jsonl")
        assert [one["record"] for one in refused] == [1, 2, 3]
        for one, reason in zip(refused, ("line 2: expected JSON", "expected a field", "encoder takes at most")):
            assert reason in one["reason"]
        assert refused[1]["entry"] == {"id": 2}

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
    def test_reduced_precision(self, saved_model, tmp_path, dtype):
        (tmp_path / "in.txt").write_text("Ada Park of Oslo\n")
        flags = ["--input", tmp_path / "in.txt", "--output", tmp_path / "out.jsonl", "--dtype", dtype]
        run("predict", "--model", saved_model, *flags)
        assert lines(tmp_path / "out.jsonl")[0]["words"]

    def test_a_missing_file(self, saved_model, tmp_path):
        flags = ["--input", tmp_path / "none.jsonl", "--output", tmp_path / "out.jsonl"]
        assert "expected a file to read sentences from" in run("predict", "--model", saved_model, *flags, code=1)


def predict_words(model, source, target, *flags):
    return ["predict", "--model", model, "--input", source, "--output", target, *flags]


@pytest.mark.slow
def test_killed_and_resumed_on_another_number_of_processes(saved_model, records, expected, tmp_path):
    many = [record | {"id": f"{number}-{record['id']}"} for number in range(12) for record in records]
    source, target = written(tmp_path / "in.jsonl", many), tmp_path / "out.jsonl"
    words = predict_words(saved_model, source, target, "--shard-size", "30", "--batch-size", "4")
    shards = tmp_path / "out.jsonl.shards"
    log = tmp_path.with_suffix(".log")
    times = {}
    for number, flags in enumerate(([], ["--resume"])):
        process = forked.extraction([*words, *flags], log)
        wanted = 3 * (number + 1)
        while process.poll() is None and len(list(shards.glob("done-*"))) < wanted:
            time.sleep(0.01)
        assert process.poll() is None, "killed before it ended"
        process.kill_group()
        assert not target.exists()
        parts = [
            shards / path.name.replace("done", "part").replace(".json", ".jsonl") for path in shards.glob("done-*")
        ]
        now = {path.name: path.stat().st_mtime_ns for path in parts}
        assert all(now[name] == moment for name, moment in times.items()), "no shard is made twice"
        times = now
    assert "shards stand here. Go on with --resume" in run(*words, code=1)
    assert "dtype 'float32' there, 'bfloat16' here" in run(*words, "--resume", "--dtype", "bfloat16", code=1)
    done = forked.extraction([*words, "--resume", "--num-processes", "2"], log)
    assert done.wait() == 0, done.output
    found = lines(target)
    assert [one["id"] for one in found] == [record["id"] for record in many]
    assert_close(
        found[:50], [{"id": one["id"], "source": one["source"]} | wanted for one, wanted in zip(many, expected)]
    )
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl", "out.jsonl.run.json"}


@pytest.mark.slow
def test_launched_processes_end_with_the_command(saved_model, records, tmp_path):
    """They live in sessions of their own, where the kill does not reach them."""
    many = [record | {"id": number} for number in range(400) for record in records]
    source, target = written(tmp_path / "in.jsonl", many), tmp_path / "out.jsonl"
    flags = ["--shard-size", "50", "--batch-size", "2", "--num-processes", "2"]
    process = forked.extraction(predict_words(saved_model, source, target, *flags), tmp_path / "log")
    while process.poll() is None and not list((tmp_path / "out.jsonl.shards").glob("part-*")):
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill_group()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
