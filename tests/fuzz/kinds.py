"""Annotated files in every format, types, and what `spert score` reads; each with a strict reader that is not ours."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.corruptions import Corruption, dumps
from tests.fuzz.judging import Kind, Outcome, spert

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

Spans = list[tuple[int, int]]
Facts = list[tuple[str, list[str], list[tuple[Any, ...]], list[tuple[Any, ...]]]]
"""Records as (id, words, entities, relations); a relation holds its entities, not their positions."""


def facts(name: Any, words: list[str], entities: list[tuple[str, int, int]], relations: list[tuple[Any, ...]]) -> Any:
    """One record's facts; refuses what no record can hold."""
    assert type(name) in (str, int)
    for kind, start, end in entities:
        assert type(kind) is str
        assert kind
        assert type(start) is int
        assert type(end) is int
        assert 0 <= start < end <= len(words)
    for kind, head, tail in relations:
        assert type(kind) is str
        assert kind
        assert head != tail
        assert min(head, tail) >= 0
    assert all(type(word) is str for word in words)
    json.dumps([name, words, entities, relations], ensure_ascii=False).encode()
    joined = [(kind, entities[head], entities[tail]) for kind, head, tail in relations]
    return str(name), words, entities, joined


def by_characters(
    name: Any, text: str, marks: list[tuple[str, int, int, Any]], relations: list[tuple[Any, ...]], given: Any = None
) -> Any:
    """The facts of a text whose words are given, or stand between white space, and whose entities count characters."""
    assert type(text) is str
    words = [match.span() for match in re.finditer(r"\S+", text)] if given is None else list(map(tuple, given))
    ends_of_words = [0, *(end for start, end in words for end in (start, end)), len(text)]
    assert all(type(end) is int for end in ends_of_words)
    assert ends_of_words == sorted(ends_of_words)
    starts, ends = ({word[side]: index for index, word in enumerate(words)} for side in (0, 1))
    entities = []
    for kind, start, end, covered in marks:
        assert type(start) is int
        assert type(end) is int
        assert covered is None or covered.split() == text[start:end].split()
        inside = text[start:end]
        start += len(inside) - len(inside.lstrip())
        end -= len(inside) - len(inside.rstrip())
        entities.append((kind, starts[start], ends[end] + 1))
    return facts(name, [text[start:end] for start, end in words], entities, relations)


def checked(value: Any, kind: type) -> Any:
    """A value that has to be of a type."""
    assert type(value) is kind, value
    return value


def of_spert_json(value: Any) -> Facts:
    found = []
    for number, record in enumerate(checked(value, list)):
        entities = [(one["type"], one["start"], one["end"]) for one in checked(record["entities"], list)]
        relations = [(one["type"], one["head"], one["tail"]) for one in checked(record["relations"], list)]
        name = record.get("id", record.get("orig_id", number))
        found.append(facts(name, checked(record["tokens"], list), entities, relations))
        if record.get("text") is not None:
            text, words = checked(record["text"], str), record.get("words")
            if words is None:
                assert text.split() == record["tokens"]
            else:
                assert len(words) == len(record["tokens"])
                assert all(type(end) is int for word in words for end in word)
                ends = [0, *(end for start, end in words for end in (start, end)), len(text)]
                assert ends == sorted(ends)
                assert all(len(word) == 2 for word in words)
    return found


def of_json_lines(value: Any) -> Facts:
    found = []
    for number, line in enumerate(value, start=1):
        text = checked(line["text"], str)
        marks = [(one["type"], one["start"], one["end"], one.get("text")) for one in checked(line["entities"], list)]
        relations = [(one["type"], one["head"], one["tail"]) for one in checked(line.get("relations", []), list)]
        names = [line[name] for name in ("id", "orig_id") if line.get(name) is not None]
        name = checked(names[0], str) if names and type(names[0]) is not int else (names or [str(number)])[0]
        record = by_characters(name, text, marks, relations, line.get("words"))
        for one, (_, start, end) in zip(line["entities"], record[2]):
            for given, index in ((one.get("word_start"), start), (one.get("word_end"), end)):
                assert given is None or (checked(given, int) == index) or line.get("words") is None
        found.append(record)
    return found


def of_doccano(value: Any) -> Facts:
    found = []
    for number, line in enumerate(value, start=1):
        marks, index = [], {}
        for position, one in enumerate(checked(line["entities"], list)):
            assert str(one["id"]) not in index
            assert type(one["id"]) in (str, int)
            index[str(one["id"])] = position
            marks.append((one["label"], one["start_offset"], one["end_offset"], None))
        relations = [
            (one["type"], index[str(one["from_id"])], index[str(one["to_id"])])
            for one in checked(line.get("relations", []), list)
        ]
        name = line["id"] if line.get("id") is not None else number
        assert isinstance(line.get("Comments", []), list)
        found.append(by_characters(name, line["text"], marks, relations))
    return found


def of_label_studio(value: Any) -> Facts:
    """What a person said: tasks, regions and relations without that are left out."""
    found = []
    for number, task in enumerate(checked(value, list)):
        annotations, predictions = task.get("annotations"), task.get("predictions")
        assert annotations is not None or predictions is not None
        assert all(isinstance(one or [], list) for one in (annotations, predictions))
        assert all(source.get("was_cancelled") in (None, True, False) for source in annotations or [])
        data = task["data"]
        text = checked(data["text"], str)
        kept = [source for source in annotations or [] if not source.get("was_cancelled")]
        assert len(kept) < 2
        results = [checked(source["result"], list) for source in annotations or []]
        if not kept:
            continue
        results = checked(kept[0]["result"], list)
        marks: list[tuple[str, int, int, Any]] = []
        relations: list[tuple[str, int, int]] = []
        index: dict[str, int] = {}
        left_out: set[str] = set()
        for result in results:
            if checked(result["type"], str) == "relation":
                continue
            if result["type"] != "labels":
                left_out.add(str(result.get("id")))
                continue
            assert str(result["id"]) not in {*index, *left_out}
            assert type(result["id"]) in (str, int)
            of_region = result["value"]
            labels = of_region.get("labels") or []
            assert isinstance(labels, list)
            assert of_region.get("labels") in (None, labels)
            assert 0 <= checked(of_region["start"], int) < checked(of_region["end"], int) <= len(text)
            covered = of_region.get("text")
            assert covered is None or covered.split() == text[of_region["start"] : of_region["end"]].split()
            if not labels:
                left_out.add(str(result["id"]))
                continue
            index[str(result["id"])] = len(marks)
            marks += [(label, of_region["start"], of_region["end"], covered) for label in labels]
        for result in results:
            if result["type"] == "relation":
                ends = [str(result[name]) for name in ("from_id", "to_id")]
                assert all(type(result[name]) in (str, int) for name in ("from_id", "to_id"))
                assert {"left", "right", "bi", None} >= {result.get("direction")}
                labels = result.get("labels") or []
                assert isinstance(labels, list)
                assert result.get("labels") in (None, labels)
                assert all(label and type(label) is str for label in labels)
                if left_out & set(ends) or not labels:
                    continue
                pair = index[ends[0]], index[ends[1]]
                for label in labels:
                    if result.get("direction") != "left":
                        relations.append((label, *pair))
                    if result.get("direction") in ("left", "bi"):
                        relations.append((label, *pair[::-1]))
        if left_out and not marks and any(result["type"] == "labels" for result in results):
            continue
        names = [one for one in (data.get("id"), task.get("id")) if one is not None]
        found.append(by_characters([*names, str(number)][0], text, marks, relations))
    return found


def of_prodigy(value: Any) -> Facts:
    """What a person accepted; `_input_hash` differs from line to line."""
    found = []
    for number, line in enumerate(value, start=1):
        assert line.get("answer") in ("accept", "reject", "ignore", None)
        if line.get("answer") in ("reject", "ignore", None):
            continue
        text = checked(line["text"], str)
        tokens = line.get("tokens")
        words = None
        if tokens is not None:
            assert all(text[token["start"] : token["end"]] == checked(token["text"], str) for token in tokens)
            words = [(checked(token["start"], int), checked(token["end"], int)) for token in tokens]
            words = [word for word, token in zip(words, tokens) if token["text"].strip()]
        marks: list[tuple[str, int, int, Any]] = []
        index: dict[Any, int] = {}
        last: dict[int, int] = {}
        for span in checked(line["spans"], list):
            assert span.get("label") is None or checked(span["label"], str)
            for name in ("token_start", "token_end"):
                assert span.get(name) is None or type(span[name]) is int
            assert 0 <= checked(span["start"], int) < checked(span["end"], int) <= len(text)
            if span.get("label") is None:
                continue
            for key in ((span["start"], span["end"], span["label"]), (span["start"], span["end"])):
                index.setdefault(key, len(marks))
            end = span.get("token_end")
            if end is None:
                ends = [position for position, token in enumerate(tokens or []) if token["end"] == span["end"]]
                end = [*ends, -1][0]
            last.setdefault(end, len(marks))
            marks.append((span["label"], span["start"], span["end"], span.get("text")))
        relations = []
        for relation in checked(line.get("relations", []), list):
            ends = []
            for name in ("head", "child"):
                of_span = relation.get(f"{name}_span")
                token = checked(relation[name], int)
                if of_span is None:
                    ends.append(last.get(token))
                else:
                    assert of_span.get("label") is None or checked(of_span["label"], str)
                    span = checked(of_span["start"], int), checked(of_span["end"], int)
                    for part in ("token_start", "token_end"):
                        assert of_span.get(part) is None or type(of_span[part]) is int
                    ends.append(index.get((*span, of_span.get("label")), index.get(span)))
                if relation.get("label") is not None and ends[-1] is None:
                    assert tokens is None or 0 <= token < len(tokens)
            assert relation.get("label") is None or checked(relation["label"], str)
            if relation.get("label") is not None and None not in ends:
                relations.append((relation["label"], *ends))
        name = line["id"] if line.get("id") is not None else str(number)
        found.append(by_characters(name, text, marks, relations, words))
    return found


def of_csv(lines: Any) -> Facts:
    """Rows of the columns id, text, entities and relations."""
    header, *rows = lines
    assert len(set(header)) == len(header)
    values = []
    for row in rows:
        assert len(row) == len(header)
        cells = {name: cell for name, cell in zip(header, row) if cell or name == "text"}
        for name in {"entities", "relations", "words", "tokens"} & set(cells):
            cells[name] = json_of(cells[name].encode())
        assert "text" in cells
        assert "tokens" not in cells
        values.append(cells)
    return [
        (name if "id" in cells else str(index), *rest)
        for index, (cells, (name, *rest)) in enumerate(zip(values, of_json_lines(values)))
    ]


def of_brat(lines: Any) -> Facts:
    marks: list[tuple[str, int, int, Any]] = []
    index: dict[str, int] = {}
    arrows = []
    names: set[str] = set()
    for fields in lines:
        if fields == [""]:
            continue
        name, about, *rest = fields
        assert name not in names or name == "*"
        names.add(name)
        if name[0] == "T":
            kind, start, end = about.split(" ")
            assert re.fullmatch("[0-9]+", start + end)
            (covered,) = rest
            index[name] = len(marks)
            marks.append((kind, int(start), int(end), covered))
        elif name[0] == "R":
            kind, head, tail = re.fullmatch(r"(\S+) Arg1:(T\S+) Arg2:(T\S+)", about).groups()  # type: ignore[union-attr]
            arrows.append((kind, head, tail))
        elif name == "*":
            arrows.append(tuple(about.split(" ")))
        else:
            assert name[0] in "AEMN#"
    return [by_characters("doc", TEXTS[0], marks, [(kind, index[head], index[tail]) for kind, head, tail in arrows])]


def of_columns(lines: Any) -> Facts:
    found: Facts = []
    words: list[str] = []
    entities: list[tuple[str, int, int]] = []
    name = None
    widths = set()
    for fields in [*lines, [""]]:
        if not "".join(fields).strip():
            if words:
                found.append(facts(name if name is not None else len(found), words, entities, []))
                words, entities, name = [], [], None
        elif fields[0].startswith("# id = ") and len(fields) == 1:
            assert not words
            name = fields[0][7:]
        else:
            word, *_, tag = fields
            assert word
            widths.add(len(fields))
            if tag != "O":
                kind = re.fullmatch("[BIUSLE]-(.+)", tag)[1]  # type: ignore[index]
                if tag[0] in "ILE":
                    assert entities[-1][::2] == (kind, len(words))
                    entities[-1] = (kind, entities[-1][1], len(words) + 1)
                else:
                    entities.append((kind, len(words), len(words) + 1))
            words.append(word)
    assert len(widths) == 1
    assert name is None
    return found


def of_scierc(value: Any) -> Facts:
    found = []
    for line in value:
        first = 0
        assert len(line["ner"]) == len(line["relations"]) == len(checked(line["sentences"], list))
        for number, words in enumerate(line["sentences"]):
            entities = [(kind, start - first, end - first + 1) for start, end, kind in line["ner"][number]]
            assert all(type(one) is int for start, end, _ in line["ner"][number] for one in (start, end))
            assert all(kind in ("Method", "Generic", "Task", "Material") for kind, *_ in entities)
            index = {entity[1:]: position for position, entity in enumerate(entities)}
            relations = []
            for a, b, c, d, kind in line["relations"][number]:
                names = {"USED-FOR": "Used-for", "CONJUNCTION": "Conjunction", "Used-for": "Used-for"}
                relations.append((names[kind], index[a - first, b - first + 1], index[c - first, d - first + 1]))
            record = facts(f"{checked(line['doc_key'], str)}/{number}", checked(words, list), entities, relations)
            assert line["doc_key"]
            found.append(merged(record))
            first += len(words)
    return found


def merged(record: Any) -> Any:
    """A record whose equal entities and relations are one, as loading a corpus makes them."""
    name, words, entities, relations = record
    return name, words, list(dict.fromkeys(entities)), list(dict.fromkeys(relations))


def of_rel(lines: Any) -> Facts:
    """ADE's raw file: each line is a sentence of its own here."""
    found: Facts = []
    for number, fields in enumerate(lines):
        pubmed, text, effect, start, end, drug, drug_start, drug_end = fields
        assert all(re.fullmatch("[0-9]{1,18}", one) for one in (pubmed, start, end, drug_start, drug_end))
        assert int(end) - int(start) == len(effect)
        assert int(drug_end) - int(drug_start) == len(drug)
        assert effect
        assert drug
        places = [match.start() for match in re.finditer(f"(?={re.escape(effect)})", text)]
        distance = int(drug_start) - int(start)
        place = next(one for one in places if one + distance >= 0 and text[one + distance :].startswith(drug))
        found.append((str(number), text, (place, effect), (place + distance, drug)))  # type: ignore[arg-type]
    return found


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


def converting(file: str, *flags: str) -> Callable[[Path], Outcome]:
    """Runs `spert corpus convert` to SpERT JSON."""

    def run(folder: Path) -> Outcome:
        (folder / "out.json").unlink(missing_ok=True)
        source = folder / file if "/" not in file else (folder / file).parent
        return spert("corpus", "convert", source, folder / "out.json", "--words", "whitespace", *flags)

    return run


def converted(folder: Path, outcome: Outcome) -> Facts:
    """The facts of what was converted."""
    return of_spert_json(json.loads((folder / "out.json").read_text()))


def total(records: Any) -> int:
    """How much records hold."""
    return sum(1 + len(words) + len(entities) + len(relations) for _, words, entities, relations in records)


def numbered(name: str, first: int = 0) -> Callable[[Corruption], str | None]:
    """What errors call the record that a path leads into."""

    def record(corruption: Corruption) -> str | None:
        if corruption.is_of_a_field and isinstance(corruption.path[0], int) and len(corruption.path) > 1:
            return rf"{name} {corruption.path[0] + first}\b"
        return None

    return record


def any_line(corruption: Corruption) -> str | None:
    """Errors name a line; which one it is depends on what the corruption leads to."""
    return r"line \d+|at the end|sentence \d"


def any_row(corruption: Corruption) -> str | None:
    """A value of another type changes a whole column, so that errors name its first row."""
    return r"row \d+" if len(corruption.path) > 1 else None


def _characters(record: dict[str, Any]) -> Spans:
    words = [match.span() for match in re.finditer(r"\S+", " ".join(record["tokens"]))]
    return [(words[one["start"]][0], words[one["end"] - 1][1]) for one in record["entities"]]


def _json_lines() -> list[Any]:
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


def _doccano() -> list[Any]:
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


def _label_studio() -> list[Any]:
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


def _prodigy() -> list[Any]:
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


def _csv() -> list[list[str]]:
    rows = [["id", "text", "entities", "relations"]]
    for line in _json_lines():
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


def _brat() -> list[list[str]]:
    (record, *_), (text, *_) = RECORDS, TEXTS
    lines = [
        [f"T{index}", f"{one['type']} {start} {end}", text[start:end]]
        for index, (one, (start, end)) in enumerate(zip(record["entities"], _characters(record)))
    ]
    lines += [["R1", "lives_in Arg1:T0 Arg2:T1"], ["*", "knows T2 T0"], ["A1", "Sure T0"], ["#1", "Note T1", "hm"]]
    return lines


def _columns() -> list[list[str]]:
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


def loaded(name: str) -> Callable[[Path, Outcome], Facts]:
    """The facts of a corpus that was loaded."""

    def observed(folder: Path, outcome: Outcome) -> Facts:
        from spert.corpora import load_corpus

        rows = load_corpus(name or folder / "train.json", str(folder) if name else None)["train"]
        return [merged(record) for record in of_spert_json([dict(row) for row in rows])]

    return observed


def loading(name: str) -> Callable[[Path], Outcome]:
    """Runs `spert corpus stats`, which loads as training does."""
    return lambda folder: spert("corpus", "stats", *([name, "--data-dir", folder] if name else [folder / "train.json"]))


def _loaded_spert_json(value: Any) -> Facts:
    found = [merged(record) for record in of_spert_json(value)]
    assert any(entities for _, _, entities, _ in found)
    assert all(head != tail for *_, relations in found for _, head, tail in relations)
    return found


def _rel_observed(folder: Path, outcome: Outcome) -> Any:
    from spert.corpora import load_corpus

    found: list[Any] = []
    for number, row in enumerate(load_corpus("ade", str(folder))["train"]):
        kinds = {one["type"]: one for one in row["entities"]}
        texts = []
        for kind in ("Adverse-Effect", "Drug"):
            start = row["words"][kinds[kind]["start"]][0]
            end = row["words"][kinds[kind]["end"] - 1][1]
            texts.append((start, row["text"][start:end]))
        found.append((str(number), row["text"], *texts))
    return found


def _parquet(value: Any) -> bytes:
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


def _rows(content: bytes) -> Any:
    import pyarrow.parquet as pq

    rows = pq.read_table(io.BytesIO(content), page_checksum_verification=True).to_pylist()
    return [
        {name: of_name for name, of_name in row.items() if name != "orig_id" or of_name is not None} for row in rows
    ]


def _doc_bin(value: Any) -> bytes:
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


def _records_of_doc_bin(content: bytes) -> Any:
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


WITH_TEXT = [RECORDS[0], RECORDS[1] | {"text": "Zürich 東京", "words": [[0, 6], [7, 9]]}]


def _types_observed(folder: Path, outcome: Outcome) -> Any:
    from spert.corpora import read_types

    return read_types(folder / "types.json").to_json()


def _types_expected(value: Any) -> Any:
    assert set(value) <= {"entities", "relations"}
    made: dict[str, Any] = {"entities": {}, "relations": {}}
    for kind in made:
        for name, about in value.get(kind, {}).items():
            assert name
            name.encode()
            assert set(about) <= {"short", "verbose", "symmetric"}
            shown = {key: name if about.get(key) is None else checked(about[key], str) for key in ("short", "verbose")}
            json.dumps(shown, ensure_ascii=False).encode()
            made[kind][name] = shown
            symmetric = checked(about.get("symmetric", False), bool)
            if kind == "relations":
                made[kind][name] = shown | {"symmetric": symmetric}
            else:
                assert not symmetric
    assert made["entities"]
    return made


def _scored(option: str) -> Callable[[Path], Outcome]:
    other = {"--predictions": "--references", "--references": "--predictions"}[option]

    def run(folder: Path) -> Outcome:
        (folder / "scores.json").unlink(missing_ok=True)
        files = (option, folder / "scored.json", other, folder / "other.json")
        return spert("score", *files, "--output", folder / "scores.json")

    return run


def _scores_observed(folder: Path, outcome: Outcome) -> Any:
    return json.loads((folder / "scores.json").read_text())


def _scores_expected(predictions_are_odd: bool) -> Callable[[Any], Any]:
    def expected(value: Any) -> Any:
        from spert.evaluation.scores import compute_scores

        found = of_spert_json(value)
        assert [words for _, words, *_ in found] == [record["tokens"] for record in RECORDS]
        records = [
            {name: record[name] for name in ("tokens", "entities", "relations")} for record in value
        ]  # checked by of_spert_json
        return compute_scores(*((RECORDS, records) if predictions_are_odd else (records, RECORDS)))

    return expected


def _corpus(
    name: str,
    file: str,
    value: Any,
    dump: Any,
    parse: Any,
    expected: Any,
    record: Any,
    *flags: str,
    **others: Any,
) -> Kind:
    run = converting(file, *flags)
    return Kind(name, file, value, dump, parse, run, expected, converted, total, record, **others)


def _not_empty(expected: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A conversion of nothing is refused."""

    def of(value: Any) -> Any:
        found = expected(value)
        assert found
        return found

    return of


KINDS = [
    _corpus("SpERT JSON", "x.json", WITH_TEXT, dump_json, json_of, _not_empty(of_spert_json), numbered("record")),
    _corpus(
        "JSON Lines",
        "x.jsonl",
        _json_lines(),
        dump_lines,
        json_lines_of,
        _not_empty(of_json_lines),
        numbered("line", 1),
    ),
    _corpus(
        "Doccano",
        "x.jsonl",
        _doccano(),
        dump_lines,
        json_lines_of,
        _not_empty(of_doccano),
        numbered("line", 1),
        "--from-format=doccano",
    ),
    _corpus(
        "Label Studio",
        "x.json",
        _label_studio(),
        dump_json,
        json_of,
        _not_empty(of_label_studio),
        numbered("task"),
        "--from-format=label-studio",
    ),
    _corpus(
        "Prodigy",
        "x.jsonl",
        _prodigy(),
        dump_lines,
        json_lines_of,
        _not_empty(of_prodigy),
        numbered("line", 1),
        "--from-format=prodigy",
    ),
    _corpus("CSV", "x.csv", _csv(), dump_csv, csv_of, _not_empty(of_csv), any_row, fields=False),
    _corpus(
        "brat",
        "brat/doc.ann",
        _brat(),
        dump_fields("\t"),
        fields_of("\t"),
        of_brat,
        any_line,
        others={"brat/doc.txt": TEXTS[0].encode()},
        fields=False,
    ),
    _corpus(
        "columns",
        "x.bio",
        _columns(),
        dump_fields("\t"),
        fields_of("\t"),
        _not_empty(of_columns),
        any_line,
        fields=False,
    ),
    _corpus("Parquet", "x.parquet", WITH_TEXT, _parquet, _rows, _not_empty(of_spert_json), any_row),
    _corpus(
        "spaCy", "x.spacy", WITH_TEXT, _doc_bin, _records_of_doc_bin, _not_empty(of_spert_json), numbered("document")
    ),
    Kind(
        "SpERT JSON, loaded",
        "train.json",
        RECORDS,
        dump_json,
        json_of,
        loading(""),
        _loaded_spert_json,
        loaded(""),
        total,
        numbered("record"),
    ),
    Kind(
        "SciERC",
        "train.json",
        ABSTRACTS,
        dump_lines,
        json_lines_of,
        loading("scierc"),
        of_scierc,
        loaded("scierc"),
        total,
        numbered("line", 1),
        others={name: dump_lines(ABSTRACTS) for name in ("dev.json", "test.json")},
    ),
    Kind(
        "ADE",
        "DRUG-AE.rel",
        REL,
        dump_fields("|"),
        fields_of("|"),
        loading("ade"),
        of_rel,
        _rel_observed,
        len,
        any_line,
        fields=False,
    ),
    Kind(
        "types.json",
        "types.json",
        TYPES,
        dump_json,
        json_of,
        lambda folder: spert(
            *("score", "--references", folder / "gold.json", "--predictions", folder / "gold.json"),
            *("--types", folder / "types.json"),
        ),
        _types_expected,
        _types_observed,
        lambda found: sum(map(len, found.values())),
        others={"gold.json": dump_json(RECORDS)},
        blamed=("gold.json",),
    ),
    *(
        Kind(
            f"`score {option}`",
            "scored.json",
            RECORDS,
            dump_json,
            json_of,
            _scored(option),
            _scores_expected(option == "--predictions"),
            _scores_observed,
            lambda found: 0,
            numbered("record"),
            others={"other.json": dump_json(RECORDS)},
            longest_message=200_000,  # shows both sentences
        )
        for option in ("--predictions", "--references")
    ),
]
