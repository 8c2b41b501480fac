"""Annotated files in every format, types, and what `spert score` reads: what reads them, and what has to come of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.corruptions import Corruption
from tests.fuzz.good_files import (
    ABSTRACTS,
    RECORDS,
    REL,
    TEXTS,
    TYPES,
    WITH_TEXT,
    brat_value,
    columns_value,
    csv_of,
    csv_value,
    doccano_value,
    dump_csv,
    dump_doc_bin,
    dump_fields,
    dump_json,
    dump_lines,
    dump_parquet,
    fields_of,
    json_lines_of,
    json_lines_value,
    json_of,
    label_studio_value,
    prodigy_value,
    records_of_doc_bin,
    rows_of,
)
from tests.fuzz.judging import Kind, Outcome, spert
from tests.fuzz.strict_readers import (
    Facts,
    checked,
    merged,
    of_brat,
    of_columns,
    of_csv,
    of_doccano,
    of_json_lines,
    of_label_studio,
    of_prodigy,
    of_rel,
    of_scierc,
    of_spert_json,
)


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
        json_lines_value(),
        dump_lines,
        json_lines_of,
        _not_empty(of_json_lines),
        numbered("line", 1),
    ),
    _corpus(
        "Doccano",
        "x.jsonl",
        doccano_value(),
        dump_lines,
        json_lines_of,
        _not_empty(of_doccano),
        numbered("line", 1),
        "--from-format=doccano",
    ),
    _corpus(
        "Label Studio",
        "x.json",
        label_studio_value(),
        dump_json,
        json_of,
        _not_empty(of_label_studio),
        numbered("task"),
        "--from-format=label-studio",
    ),
    _corpus(
        "Prodigy",
        "x.jsonl",
        prodigy_value(),
        dump_lines,
        json_lines_of,
        _not_empty(of_prodigy),
        numbered("line", 1),
        "--from-format=prodigy",
    ),
    _corpus("CSV", "x.csv", csv_value(), dump_csv, csv_of, _not_empty(of_csv), any_row, fields=False),
    _corpus(
        "brat",
        "brat/doc.ann",
        brat_value(),
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
        columns_value(),
        dump_fields("\t"),
        fields_of("\t"),
        _not_empty(of_columns),
        any_line,
        fields=False,
    ),
    _corpus("Parquet", "x.parquet", WITH_TEXT, dump_parquet, rows_of, _not_empty(of_spert_json), any_row),
    _corpus(
        "spaCy", "x.spacy", WITH_TEXT, dump_doc_bin, records_of_doc_bin, _not_empty(of_spert_json), numbered("document")
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
