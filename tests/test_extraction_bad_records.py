"""`spert predict`: a bad record never ends the run, and every refusal says which one it is."""

import datetime
import json
import re
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spert.extraction.records import as_json, carried_json, refusal
from spert.extraction.sinks import sink_of
from spert.extraction.sources import open_source
from spert.prediction import Refused
from tests.extracting import lines, names_in, predict_files, written

GOOD = '{"text": "Oslo", "id": 1}'
BAD = {
    '{"text": "Oslo \\ud800"}': "expected text that can be written as UTF-8, got a lone surrogate",
    '{"text": "Oslo", "id": "\\ud800"}': ", field 'id': expected text that can be written as UTF-8",
    '{"text": "Oslo", "more": {"\\udfff": 1}}': ", field 'more': expected text that can be written as UTF-8",
    '{"text": "Oslo", "\\udfff": 1}': ", field '\\udfff': expected text that can be written as UTF-8",
    '{"text": "Oslo", "more": ' + "[" * 100_000 + "]" * 100_000 + "}": ": expected JSON, got values nested too deep",
    '{"text": "Oslo", "more": ' + "[" * 150 + "]" * 150 + "}": ", field 'more': expected values nested at most 100",
    '{"text": "Oslo", "id": ' + "7" * 5000 + "}": ": expected JSON, got an integer with too many digits",
    '{"text": "Oslo", "id": NaN}': ": expected JSON: NaN is no JSON.",
    '{"text": "Oslo", "id": -Infinity}': ": expected JSON: -Infinity is no JSON.",
    '{"text": "Oslo", "id": 1e999}': ": expected JSON: the number 1e999 is too large.",
    '{"text": "Oslo", "text": "Quito"}': ": expected JSON: the field 'text' stands there twice.",
    '{"text": "Oslo"': ": expected JSON: Expecting ',' delimiter, at character 16.",
    '{"text": null}': ", field 'text': expected a text or a list of words, got None.",
    '{"text": [' + "1234567890, " * 9 + "1]}": "got [1234567890, 1234567890, 1234567890, 1234567890, 12345678….",
    '{"tokens": ["Oslo", 1]}': ", field 'tokens': expected a text or a list of words, got ['Oslo', 1].",
    '{"n": 1}': ": expected a field 'tokens' or 'text', got only ['n'].",
    "null": ": expected a text or a list of words, got None.",
    "[1]": ": expected a text or a list of words, got [1].",
    '{"text": "Oslo", "sentences": 3}': ": expected `sentences` to be",
    '{"text": "Oslo", "sentences": [[0, 9]]}': ": sentence 0: expected a range with start < end within the text's",
    json.dumps({"tokens": ["-" * 900]}): ": word 0 ('---",
}


@pytest.mark.parametrize("ending", ["jsonl", "json", "txt", "parquet"])
def test_only_the_wanted_entries_are_read(tmp_path, ending):
    path = tmp_path / f"in.{ending}"
    texts = [f"text {number}" for number in range(5)]
    if ending == "parquet":
        pq.write_table(pa.table({"text": texts}), path)
    elif ending == "json":
        path.write_text(json.dumps(texts))
    else:
        path.write_text("".join(f"{json.dumps(text) if ending == 'jsonl' else text}\n" for text in texts))
    source = open_source(str(path))
    assert source.length == 5
    read = [(entry.number, entry.value) for entry in source.read({1, 3, 4}.__contains__)]
    assert [number for number, _ in read] == [1, 3, 4]
    assert [value["text"] if ending == "parquet" else value for _, value in read] == [texts[1], texts[3], texts[4]]


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_each_bad_line_is_refused_by_its_number(saved_model, tmp_path, ending):
    content = [GOOD, "", *(line for bad in BAD for line in (bad, GOOD))]  # the empty line is passed over
    (tmp_path / "in.jsonl").write_text("\n".join(content))
    target = tmp_path / f"out.{ending}"
    printed = predict_files(saved_model, tmp_path / "in.jsonl", target, "--shard-size", 4, "--batch-size", 2)
    assert f"{target}: {1 + len(BAD)} records." in printed
    refused = lines(tmp_path / f"out.{ending}.errors.jsonl")
    by_record = {one["record"]: one["reason"] for one in refused}
    for number, (line, reason) in enumerate(BAD.items()):
        shown = by_record[1 + 2 * number]
        assert f"in.jsonl, line {3 + 2 * number}" in shown, line[:40]
        assert reason in shown, (line[:40], shown)
    assert len(refused) == len(BAD)


def test_the_error_file_holds_what_was_read(saved_model, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n"Oslo"\n{"text": "\\ud800", "n": 2}\n{\n')
    predict_files(saved_model, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    entries = [one["entry"] for one in lines(tmp_path / "out.jsonl.errors.jsonl")]
    assert entries == [{"n": 1}, {"text": "\ud800", "n": 2}, None]
    deep = []
    for _ in range(10_000):
        deep = [deep]
    for entry in ({"a": b"x"}, {"a": float("nan")}, {"a": deep}, Refused("unread"), {1: datetime.date(2020, 1, 1)}):
        assert "NaN" not in refusal(3, "because", entry).replace('"NaN"', "")
        assert json.loads(refusal(3, "because", entry))["record"] == 3


def test_a_list_keeps_its_good_records(saved_model, tmp_path):
    entries = [GOOD, '{"text": "Oslo", "orig_id": NaN}', '"Quito"', f'{{"text": "Oslo", "id": {"7" * 5000}}}', "[]"]
    (tmp_path / "in.json").write_text(f"\ufeff[{', '.join(entries)}]\n", encoding="utf-8")
    predict_files(saved_model, tmp_path / "in.json", tmp_path / "out.jsonl")
    assert [one["text"] for one in lines(tmp_path / "out.jsonl")] == ["Oslo", "Quito", ""]
    reasons = [one["reason"] for one in lines(tmp_path / "out.jsonl.errors.jsonl")]
    assert "in.json, record 1: expected JSON: NaN is no JSON" in reasons[0]
    assert "in.json, record 3: expected JSON, got an integer with too many digits" in reasons[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, ", "in.json: expected JSON, but line 1, column 5 is not"),
        ("[1] 2", "in.json: expected JSON, but line 1, column 5 is not: Extra data"),
        ("[NaN 2]", "in.json: expected JSON, got the number NaN, which is not finite"),
        ('{"text": "Oslo"}', "in.json: expected a list of records, got dict"),
        ("", "in.json: expected JSON"),
        ("[" * 100_000, "record 0: expected JSON, got values nested too deep"),
    ],
)
def test_a_file_that_is_no_list(tmp_path, content, message):
    (tmp_path / "in.json").write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        open_source(str(tmp_path / "in.json"))


def test_text_files_keep_step_with_their_lines(saved_model, tmp_path):
    (tmp_path / "in.txt").write_bytes(b"\xef\xbb\xbfAda Park\n\nT\xfcr\r\n\nOslo\r\n")
    predict_files(saved_model, tmp_path / "in.txt", tmp_path / "out.jsonl")
    assert [one["text"] for one in lines(tmp_path / "out.jsonl")] == ["Ada Park", "", "", "Oslo"]
    (refused,) = lines(tmp_path / "out.jsonl.errors.jsonl")
    assert refused["record"] == 2
    assert "in.txt, line 3: expected UTF-8, but byte 1 cannot be decoded" in refused["reason"]


def test_nothing_readable_is_a_failure_and_leaves_the_reasons(saved_model, tmp_path):
    (tmp_path / "in.jsonl").write_text("{\n[\n")
    for name in ("out.jsonl", "out/"):
        error = predict_files(saved_model, tmp_path / "in.jsonl", f"{tmp_path}/{name}", "--shard-size", 1, code=1)
        assert "in.jsonl: no entry could be read, see" in error
        assert "in.jsonl, line 1: expected JSON" in error
    assert names_in(tmp_path) == ["in.jsonl", "out", "out.jsonl.errors.jsonl"]
    assert names_in(tmp_path / "out") == ["errors.jsonl"]
    assert len(lines(tmp_path / "out" / "errors.jsonl")) == 2


class TestCarriedFields:
    def test_what_json_does_not_have_is_text(self, saved_model, tmp_path):
        table = pa.table(
            {
                "text": ["Oslo", "Quito"],
                "image": pa.array([b"\x00\xff", None], pa.binary()),
                "price": [float("nan"), 1.5],
                "day": [datetime.date(2020, 1, 31), None],
                "took": pa.array([datetime.timedelta(seconds=90), None], pa.duration("s")),
            }
        )
        pq.write_table(table, tmp_path / "in.parquet")
        predict_files(saved_model, tmp_path / "in.parquet", tmp_path / "out.jsonl")
        first, second = lines(tmp_path / "out.jsonl")
        shown = {name: first[name] for name in ("image", "price", "day", "took")}
        assert shown == {"image": "AP8=", "price": "NaN", "day": "2020-01-31", "took": "0:01:30"}
        assert (second["image"], second["price"]) == (None, 1.5)

    def test_parquet_keeps_the_types_of_parquet(self, saved_model, tmp_path):
        table = pa.table(
            {
                "id": pa.array([1, 2, 3], pa.int16()),
                "body": ["Oslo", "Quito", None],
                "image": pa.array([b"\x00\xff", None, b""], pa.binary()),
                "when": pa.array([1, None, 2], pa.timestamp("ns", "UTC")),
                "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
                "page": [{"n": 1, "of": [1.5]}, None, {"n": None, "of": []}],
                "nothing": pa.nulls(3),
                "entities": ["gold", "gold", "gold"],
            }
        )
        pq.write_table(table, tmp_path / "in.parquet")
        flags = ["--column", "body", "--shard-size", 2]
        predict_files(saved_model, tmp_path / "in.parquet", tmp_path / "out.parquet", *flags)
        found = pq.read_table(tmp_path / "out.parquet")
        kept = table.select(["id", "image", "when", "kind", "page"]).slice(0, 2)
        assert found.select(kept.column_names).to_pylist() == kept.to_pylist()
        for name in ("id", "image", "when", "page"):
            assert found.schema.field(name).type == table.schema.field(name).type
        assert "body" not in found.column_names
        (refused,) = lines(tmp_path / "out.parquet.errors.jsonl")
        assert "in.parquet, row 2, field 'body': expected a text or a list of words, got None" in refused["reason"]

    def test_ids_of_mixed_types_become_text(self, saved_model, tmp_path):
        ids = [1, 2, "3b", None, 2.5, [1, "x"], True]
        records = [{"id": one, "text": "Oslo"} for one in ids]
        for shard_size in (2, 100):
            source, target = written(tmp_path / "in.jsonl", records), tmp_path / "out.parquet"
            predict_files(saved_model, source, target, "--shard-size", shard_size)
            found = pq.read_table(target)["id"].to_pylist()
            assert found == ["1", "2", "3b", None, "2.5", '[1, "x"]', "true"]

    def test_values_that_python_cannot_hold_refuse_their_row(self, saved_model, tmp_path):
        texts = pa.array([b"Oslo", b"\xff\xfe", b"Quito"]).view(pa.string())
        pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
        predict_files(saved_model, tmp_path / "in.parquet", tmp_path / "out.parquet")
        assert pq.read_table(tmp_path / "out.parquet")["text"].to_pylist() == ["Oslo", "Quito"]
        (refused,) = lines(tmp_path / "out.parquet.errors.jsonl")
        assert "in.parquet, row 1: expected values that Python can hold" in refused["reason"]

    def test_as_json(self):
        assert as_json({"a": (1, b"x", float("inf")), 2: None}, "f") == {"a": [1, "eA==", "Infinity"], "2": None}
        assert as_json(-float("inf"), "f") == "-Infinity"
        assert carried_json({"text": "x", "words": 1, "body": 2, "id": 3}, "body") == {"id": 3}
        assert carried_json("Oslo") == {}


_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "__carried__"]), values, max_size=3)
    ),
    max_leaves=6,
)
_RECORD = st.dictionaries(st.sampled_from(["id", "x", "__carried__"]), _VALUE)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(_RECORD, max_size=4), min_size=1, max_size=3))
def test_any_fields_can_be_joined(shards):
    """Each value comes back as it was, or as text that says it."""
    found = {"text": "Oslo", "words": [[0, 4]], "entities": [], "relations": []}
    sink = sink_of(".parquet")
    with tempfile.TemporaryDirectory() as name:
        parts = [Path(name) / f"{index}.parquet" for index in range(len(shards))]
        for part, records in zip(parts, shards):
            with sink.shard(part) as write:
                for record in records:
                    write(record | {"text": "Oslo"}, found)
        sink.join(Path(name) / "all.parquet", parts)
        rows = pq.read_table(Path(name) / "all.parquet").to_pylist()
    expected = [record for records in shards for record in records]
    assert [row["text"] for row in rows] == ["Oslo"] * len(expected)
    for record, row in zip(expected, rows):
        for field, value in record.items():
            is_text = isinstance(row[field], str) and not isinstance(value, str)
            assert _is_same(value, json.loads(row[field]) if is_text else row[field])


def _is_same(value, found):
    if isinstance(value, dict):
        return isinstance(found, dict) and all(_is_same(value.get(name), found[name]) for name in {*value, *found})
    if isinstance(value, list):
        return isinstance(found, list) and len(value) == len(found) and all(map(_is_same, value, found))
    return value == found or (isinstance(found, str) and json.loads(found) == value)
