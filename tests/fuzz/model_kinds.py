"""What `spert predict` reads, and the JSON files of a model's folder."""

import functools
import io
import json
import math
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

from tests import tiny
from tests.fuzz.corruptions import DIGITS, NESTED
from tests.fuzz.good_files import dump_json, dump_lines, json_of
from tests.fuzz.judging import Kind, Outcome, spert
from tests.fuzz.strict_readers import checked


@functools.cache
def model_folder() -> Path:
    """A tiny model with all choices of the heads, as training saves it. It stays for the whole process."""
    from spert.training.output import save_model

    folder = Path(tempfile.mkdtemp(prefix="spert-fuzz-model-")) / "model"
    save_model(folder, tiny.choosy_model("bert", **tiny.ALL_CHOICES), tiny.processor("bert"))
    return folder


@functools.cache
def loaded_model() -> Any:
    """The tiny model and its processor."""
    from spert.loading import load_model

    return load_model(str(model_folder()))


def with_a_loaded_model() -> AbstractContextManager[Any]:
    """Lets `spert predict` take the model that is loaded already."""
    return mock.patch("spert.loading.load_model", return_value=loaded_model())


def predicting(file: str) -> Callable[[Path], Outcome]:
    """Runs `spert predict` on a file."""

    def run(folder: Path) -> Outcome:
        for leftover in folder.glob("out*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        return spert("predict", "--model", model_folder(), "--input", folder / file, "--output", folder / "out.jsonl")

    return run


def predicted(folder: Path, outcome: Outcome) -> list[str]:
    """The texts that were read, and a mark for each record that was refused with its file and place."""
    texts = [json.loads(line)["text"] for line in (folder / "out.jsonl").read_text().splitlines()]
    refused = [line for line in outcome.err.splitlines() if "refused, see" in line]
    if not refused:
        return texts
    (line,) = refused
    assert any(name in line for name in ("x.jsonl, ", "x.json, ", "x.txt, ", "x.parquet, ")), line
    return texts + ["refused"] * int(line.split(" of ")[0].split()[-1])


def _readable(record: Any) -> str:
    """The text of a record of prediction input; raises where it is none."""
    text = record
    if isinstance(record, dict):
        text = record["tokens" if "tokens" in record else "text"]
    if isinstance(text, list):
        assert all(type(word) is str for word in text)
        text = " ".join(text)
    checked(text, str).encode()
    json.dumps(record, allow_nan=False)
    if isinstance(record, dict):
        json.dumps(record, ensure_ascii=False).encode()
    return str(text)


def to_be_predicted(value: Any) -> list[str]:
    """What `predicted` returns for input records."""
    texts, refused = [], []
    for record in checked(value, list):
        try:
            texts.append(_readable(record))
        except (AssertionError, KeyError, TypeError, ValueError):
            refused.append("refused")
    assert texts or not value
    return texts + refused


def _lines_to_predict(content: bytes) -> list[Any]:
    """The values of lines; a line that is no JSON is a record to be refused."""
    records = []
    for line in content.split(b"\n"):
        if line.strip():
            try:
                records.append(json_of(line))
            except (ValueError, RecursionError, AssertionError):
                records.append({})
    return records


def _list_to_predict(content: bytes) -> Any:
    """A list of records; a value that JSON readers refuse makes its record one to be refused."""
    for unreadable in (NESTED, DIGITS):
        content = content.replace(unreadable.encode(), b'"\\ud800"')

    def once(fields: list[tuple[str, Any]]) -> Any:
        return dict(fields) if len(dict(fields)) == len(fields) else "\ud800"

    return json.loads(content.decode("utf-8-sig"), object_pairs_hook=once)


def _text_lines(content: bytes) -> list[Any]:
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")  # the mark says how the file is encoded
    records: list[Any] = []
    for line in lines[:-1] if not lines[-1] else lines:
        try:
            records.append(line.decode().rstrip("\r"))
        except UnicodeDecodeError:
            records.append({})
    return records


def _dump_text(value: Any) -> bytes:
    assert all(isinstance(line, str) for line in value)
    return "".join(line + "\n" for line in value).encode()


def _parquet(value: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(value), target, write_page_checksum=True)
    return target.getvalue()


def _rows(content: bytes) -> Any:
    import pyarrow.parquet as pq

    rows = pq.read_table(io.BytesIO(content), page_checksum_verification=True).to_pylist()
    # JSON has no numbers that are not finite: `spert predict` writes those that it carries as text.
    return [
        {name: str(one) if isinstance(one, float) and not math.isfinite(one) else one for name, one in row.items()}
        for row in rows
    ]


_LONG_TEXTS = ("nested", "nested objects", "huge")
"""What is a corruption elsewhere is a long text in a file of texts, and reading it takes a minute."""

INPUT = [{"text": "Ada Park joined Northwind Labs .", "note": 3}, {"text": "Zürich of Oslo", "note": 4}]
WORDS = [{"tokens": ["Ada", "Park", "of", "Zürich"], "orig_id": 1}, {"tokens": ["Oslo"], "orig_id": 2}]


def _prediction(name: str, file: str, value: Any, dump: Any, parse: Any, *without: str) -> Kind:
    return Kind(
        name,
        file,
        value,
        dump,
        parse,
        predicting(file),
        to_be_predicted,
        predicted,
        fields=False,
        around=with_a_loaded_model,
        without=("huge", *without),  # a word of 50,000 letters takes a minute to read
    )


# A model's folder


def _content_of(name: str) -> Any:
    return json.loads((model_folder() / name).read_text())


def _model_copy(name: str) -> dict[str, bytes]:
    return {
        f"model/{path.name}": path.read_bytes()
        for path in model_folder().iterdir()
        if path.is_file() and path.name != name
    } | {"input.txt": b"Ada Park joined Northwind Labs in Oslo .\n"}


def _with_odd_model(folder: Path) -> Outcome:
    for leftover in folder.glob("out*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    where = ("--input", folder / "input.txt", "--output", folder / "out.jsonl")
    return spert("predict", "--model", folder / "model", *where)


@functools.cache
def _good_prediction() -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input.txt").write_bytes(b"Ada Park joined Northwind Labs in Oslo .\n")
        where = ("--input", folder / "input.txt", "--output", folder / "out.jsonl")
        outcome = spert("predict", "--model", model_folder(), *where)
        assert outcome.status == 0, outcome
        return (folder / "out.jsonl").read_text()


def _same_or_shown(file: str) -> Callable[[Path, Outcome], Any]:
    """The corrupted content, if the loaded object shows it, or if the prediction does not depend on it."""

    def observed(folder: Path, outcome: Outcome) -> Any:
        content = json.loads((folder / "model" / file).read_text(encoding="utf-8-sig"))
        if (folder / "out.jsonl").read_text() == _good_prediction():
            return content
        from spert import SpertConfig, SpertProcessor

        loader = SpertConfig if file == "config.json" else SpertProcessor
        shown = json.loads(json.dumps(loader.from_pretrained(folder / "model").to_dict(), default=str))
        return {name: of_name for name, of_name in content.items() if shown.get(name) == of_name or name in _NO_MATTER}

    return observed


_NO_MATTER = ("architectures", "auto_map", "dtype", "encoder_config", "transformers_version", "processor_class")


def _json_object(value: Any) -> Any:
    json.dumps(value, allow_nan=False)
    return checked(value, dict)


@functools.cache
def _model_kinds() -> list[Kind]:
    return [
        Kind(
            f"a model's {file}",
            f"model/{file}",
            _content_of(file),
            dump_json,
            json_of,
            _with_odd_model,
            _json_object,
            _same_or_shown(file),
            others=_model_copy(file),
            size=lambda found: 0,
        )
        for file in ("config.json", "processor_config.json")
    ]


KINDS = [
    _prediction("`predict`, JSON Lines", "x.jsonl", INPUT, dump_lines, _lines_to_predict),
    _prediction("`predict`, SpERT JSON", "x.json", WORDS, dump_json, _list_to_predict),
    _prediction("`predict`, text", "x.txt", [one["text"] for one in INPUT], _dump_text, _text_lines, *_LONG_TEXTS),
    _prediction("`predict`, Parquet", "x.parquet", INPUT, _parquet, _rows),
    *_model_kinds(),
]
