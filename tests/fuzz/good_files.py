"""A few good records in every format, and how values become the content of a file and come back from it."""

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

from tests.fuzz.corruptions import dumps

RECORDS: list[dict[str, Any]] = [
    {
        "tokens": ["Ada", "Park", "of", "Oslo", "met", "Tom"],
        "entities": [
            {"type": "Person", "start": 0, "end": 2},
            {"type": "Place", "start": 3, "end": 4},
            {"type": "Person", "start": 5, "end": 6},
        ],
        "relations": [{"type": "lives_in", "head": 0, "tail": 1}, {"type": "knows", "head": 2, "tail": 0}],
        "orig_id": "a",
    },
    {
        "tokens": ["Zürich", "東京"],
        "entities": [{"type": "Place", "start": 0, "end": 1}],
        "relations": [],
        "orig_id": "b",
    },
]
TEXTS = [" ".join(record["tokens"]) for record in RECORDS]
TYPES = {
    "entities": {"Person": {"short": "P", "verbose": "a person"}, "Place": {"short": "Pl", "verbose": "a place"}},
    "relations": {"lives_in": {"short": "l", "verbose": "lives in", "symmetric": False}, "knows": {"symmetric": True}},
}


WITH_TEXT = [RECORDS[0], RECORDS[1] | {"text": "Zürich 東京", "words": [[0, 6], [7, 9]]}]


def _characters(record: dict[str, Any]) -> list[tuple[int, int]]:
    words = [match.span() for match in re.finditer(r"\S+", " ".join(record["tokens"]))]
    return [(words[one["start"]][0], words[one["end"] - 1][1]) for one in record["entities"]]


def json_lines_value() -> list[Any]:
    lines = []
    for record, text in zip(RECORDS, TEXTS):
        entities = [
            one
            | {"start": start, "end": end, "text": text[start:end], "word_start": one["start"], "word_end": one["end"]}
            for one, (start, end) in zip(record["entities"], _characters(record))
        ]
        words = [list(match.span()) for match in re.finditer(r"\S+", text)]
        line = {"id": record["orig_id"], "text": text, "words": words, "entities": entities}
        lines.append(line | {"relations": record["relations"]})
    return lines


def doccano_value() -> list[Any]:
    lines = []
    for record, text in zip(RECORDS, TEXTS):
        entities = [
            {"id": 10 + index, "label": one["type"], "start_offset": start, "end_offset": end}
            for index, (one, (start, end)) in enumerate(zip(record["entities"], _characters(record)))
        ]
        relations = [
            {"id": index, "from_id": 10 + one["head"], "to_id": 10 + one["tail"], "type": one["type"]}
            for index, one in enumerate(record["relations"])
        ]
        lines.append({"id": 7, "text": text, "entities": entities, "relations": relations, "Comments": []})
    return lines


def label_studio_value() -> list[Any]:
    tasks = []
    for record, text in zip(RECORDS, TEXTS):
        results: list[Any] = [
            {
                "id": f"r{index}",
                "type": "labels",
                "value": {"start": start, "end": end, "text": text[start:end], "labels": [one["type"]]},
            }
            for index, (one, (start, end)) in enumerate(zip(record["entities"], _characters(record)))
        ]
        results += [
            {
                "type": "relation",
                "from_id": f"r{one['head']}",
                "to_id": f"r{one['tail']}",
                "direction": "right",
                "labels": [one["type"]],
            }
            for one in record["relations"]
        ]
        annotations = [{"result": results, "was_cancelled": False}]
        tasks.append({"id": 4, "data": {"text": text}, "annotations": annotations})
    return tasks


def prodigy_value() -> list[Any]:
    lines = []
    for number, (record, text) in enumerate(zip(RECORDS, TEXTS)):
        tokens = [
            {"text": match.group(), "start": match.start(), "end": match.end(), "id": index, "ws": True}
            for index, match in enumerate(re.finditer(r"\S+", text))
        ]
        spans = [
            {
                "start": start,
                "end": end,
                "token_start": one["start"],
                "token_end": one["end"] - 1,
                "label": one["type"],
            }
            for one, (start, end) in zip(record["entities"], _characters(record))
        ]
        relations = [
            {
                "head": spans[one["head"]]["token_end"],
                "child": spans[one["tail"]]["token_end"],
                "head_span": spans[one["head"]],
                "child_span": spans[one["tail"]],
                "label": one["type"],
            }
            for one in record["relations"]
        ]
        line = {"text": text, "tokens": tokens, "spans": spans, "relations": relations, "answer": "accept"}
        lines.append(line | {"_input_hash": number})
    return lines


def csv_value() -> list[list[str]]:
    rows = [["id", "text", "entities", "relations"]]
    for line in json_lines_value():
        rows.append([line["id"], line["text"], json.dumps(line["entities"]), json.dumps(line["relations"])])
    return rows


def dump_csv(value: Any) -> bytes:
    target = io.StringIO()
    csv.writer(target, lineterminator="\n").writerows([list(map(_as_text, row)) for row in value])
    return target.getvalue().encode()


def csv_of(content: bytes) -> Any:
    text = content.decode("utf-8-sig")
    csv.field_size_limit(2**31 - 1)
    return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]


def brat_value() -> list[list[str]]:
    (record, *_), (text, *_) = RECORDS, TEXTS
    lines = [
        [f"T{index}", f"{one['type']} {start} {end}", text[start:end]]
        for index, (one, (start, end)) in enumerate(zip(record["entities"], _characters(record)))
    ]
    lines += [["R1", "lives_in Arg1:T0 Arg2:T1"], ["*", "knows T2 T0"], ["A1", "Sure T0"], ["#1", "Note T1", "hm"]]
    return lines


def columns_value() -> list[list[str]]:
    lines: list[list[str]] = []
    for record in RECORDS:
        tags = ["O"] * len(record["tokens"])
        for one in record["entities"]:
            for index in range(one["start"], one["end"]):
                tags[index] = ("B-" if index == one["start"] else "I-") + one["type"]
        lines += [[f"# id = {record['orig_id']}"], *map(list, zip(record["tokens"], tags)), [""]]
    return lines


ABSTRACTS = [
    {
        "doc_key": "X1",
        "sentences": [["We", "use", "CRFs", "."], ["They", "help", "parsing", "and", "Zürich", "."]],
        "ner": [[[2, 2, "Method"]], [[4, 4, "Generic"], [6, 6, "Task"], [8, 8, "Material"]]],
        "relations": [[], [[4, 4, 6, 6, "USED-FOR"], [6, 6, 8, 8, "CONJUNCTION"]]],
    },
    {"doc_key": "X2", "sentences": [["We"]], "ner": [[]], "relations": [[]]},
]
REL = [
    ["12", "Rash after aspirin in Zürich.", "Rash", "10", "14", "aspirin", "21", "28"],
    ["13", "Severe fever due to FK506.", "Severe fever", "0", "12", "FK506", "20", "25"],
]


def json_of(content: bytes) -> Any:
    """JSON, strictly: no field twice, no byte order mark in the middle."""

    def once(fields: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(fields)) == len(fields)
        return dict(fields)

    return json.loads(content.decode("utf-8-sig"), object_pairs_hook=once)


def json_lines_of(content: bytes) -> list[Any]:
    return [json_of(line) for line in content.split(b"\n") if line.strip()]


def dump_json(value: Any) -> bytes:
    return dumps(value).encode()


def dump_lines(value: Any) -> bytes:
    return "".join(dumps(line) + "\n" for line in value).encode()


def fields_of(separator: str) -> Callable[[bytes], list[list[str]]]:
    def parse(content: bytes) -> list[list[str]]:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
        return [line.split(separator) for line in text.removesuffix("\n").split("\n")]

    return parse


def dump_fields(separator: str) -> Callable[[Any], bytes]:
    def dump(value: Any) -> bytes:
        return "".join(separator.join(map(_as_text, line)) + "\n" for line in value).encode()

    return dump


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text holds no such value")
    return value


def dump_parquet(value: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(value, _parquet_schema(value)), target, write_page_checksum=True)
    return target.getvalue()


def _parquet_schema(value: Any) -> Any:
    """All columns that any row has, with the types that Arrow finds; it knows the columns of the first row only."""
    import pyarrow as pa

    names = dict.fromkeys(name for row in value for name in row)
    return pa.schema([(name, pa.array([row.get(name) for row in value]).type) for name in names])


def rows_of(content: bytes) -> Any:
    import pyarrow.parquet as pq

    rows = pq.read_table(io.BytesIO(content), page_checksum_verification=True).to_pylist()
    return [
        {name: of_name for name, of_name in row.items() if name != "orig_id" or of_name is not None} for row in rows
    ]


def dump_doc_bin(value: Any) -> bytes:
    import spacy
    from spacy.tokens import Doc, DocBin, Span

    if not Doc.has_extension("relations"):
        Doc.set_extension("relations", default=[])
    vocab = spacy.vocab.Vocab()
    docs = []
    for record in value:
        doc = Doc(vocab, words=record["tokens"])
        if "entities" in record:
            doc.spans["entities"] = [
                Span(doc, one["start"], one["end"], label=one["type"]) for one in record["entities"]
            ]
        if "relations" in record:
            doc._.relations = record["relations"]
        for name, key in (("orig_id", "spert_id"), ("text", "text"), ("words", "words")):
            if name in record:
                doc.user_data[key] = record[name]
        docs.append(doc)
    return DocBin(store_user_data=True, docs=docs).to_bytes()


def records_of_doc_bin(content: bytes) -> Any:
    import spacy
    from spacy.tokens import DocBin

    records = []
    for doc in DocBin().from_bytes(content).get_docs(spacy.vocab.Vocab()):
        entities = [{"type": one.label_, "start": one.start, "end": one.end} for one in doc.spans["entities"]]
        relations = doc.user_data.get(("._.", "relations", None, None), [])
        record = {"tokens": [token.text for token in doc], "entities": entities, "relations": list(relations)}
        for name, key in (("orig_id", "spert_id"), ("text", "text"), ("words", "words")):
            if key in doc.user_data:
                record[name] = doc.user_data[key]
        records.append(record)
    return records
