"""What annotated data says, read strictly and by other code than ours: format by format, from a parsed value."""

import json
import re
from typing import Any

from tests.fuzz.good_files import TEXTS, json_of

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
