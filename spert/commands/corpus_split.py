"""`spert corpus split`: one file of annotations into the splits that training takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def split(
    source: Annotated[Path, typer.Argument(help="Annotated text in any format.")],
    target: Annotated[Path, typer.Argument(help="The folder for train.json, validation.json, test.json, types.json.")],
    validation: Annotated[float, typer.Option(min=0, max=1, help="The share of validation.json; 0: none.")] = 0.1,
    test: Annotated[float, typer.Option(min=0, max=1, help="The share of test.json; 0: none.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Decides which documents go where.")] = 42,
    from_format: Annotated[str | None, typer.Option(help="The source's format. Default: by its ending.")] = None,
    types: Annotated[Path | None, typer.Option(help="A type file. Default: the types of the data, by name.")] = None,
) -> None:
    """Cut annotations into train, validation and test: whole documents, each type in proportion."""
    from ..corpora.formats import read_records
    from ..corpora.own import SPLITS
    from ..corpora.partition import partition
    from ..corpora.reading import Reading, Scheme
    from ..corpora.spert_json import write_spert_json
    from ..corpora.types import read_types
    from ..files import atomic_folder, write_json
    from .corpus_convert import report_reading

    if validation + test >= 1:
        raise ValueError(f"--validation and --test: expected less than 1 together, got {validation + test:g}.")
    used = [name for name in (*(f"{split}.json" for split in SPLITS), "types.json") if (target / name).exists()]
    if used:
        raise ValueError(f"{target}: expected a folder without splits, got one with {', '.join(used)}: name another.")
    reading = Reading()
    records = read_records(source, reading, from_format)
    report_reading(reading)
    known = read_types(types) if types is not None else Scheme.of(records).types
    if not known.entities:
        raise ValueError(f"{source}: expected entities to read the types off, got none. Name a type file with --types.")
    splits = partition(records, {"train": 1 - validation - test, "validation": validation, "test": test}, seed)
    with atomic_folder(target, last="types.json") as staging:
        for name, of_split in splits.items():
            write_spert_json(staging / f"{name}.json", of_split)
        write_json(staging / "types.json", known.to_json())
    typer.echo(_table(records, splits))


def _table(records: "Sequence[Mapping[str, Any]]", splits: "Mapping[str, Sequence[Mapping[str, Any]]]") -> str:
    """How much of each type went where, as Markdown."""
    from ..corpora.partition import RECORDS, count_labels
    from ..markdown import plain, table

    total = count_labels(records)
    counts = {name: count_labels(of_split) for name, of_split in splits.items()}
    rows = []
    for label in sorted(total, key=lambda label: (label != RECORDS, label)):
        name = label[0] if label == RECORDS else f"{label[0]} {plain(label[1])}"
        cells = [f"{of_split[label]} ({of_split[label] / total[label]:.1%})" for of_split in counts.values()]
        rows.append([name, total[label], *cells])
    return table(["", "all", *splits], rows)
