"""Annotated datasets on the Hub as training input: rows of SpERT JSON (`tokens`), or of JSON Lines (`text`)."""

import os
import re
from collections.abc import Mapping
from typing import Any

import datasets
from datasets import ClassLabel, Dataset, DatasetDict

from .columnar import checked_table
from .duplicates import merge_duplicate_entities, with_merged_entities
from .reading import Reading
from .schema import record_at
from .types import CorpusTypes, TypeName, described, read_types, types_in_rows

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_FILE_ENDING = re.compile(r"\.(jsonl?|csv|parquet|conll|bio|bilou|iob|tsv|spacy|ann|txt)$")
_VALIDATION = ("validation", "dev", "valid", "val")


def is_hub_name(name: str) -> bool:
    """Whether a name can be that of a dataset on the Hub: `org/name`, and not a file's."""
    return bool(_HUB_NAME.fullmatch(name)) and not _FILE_ENDING.search(name)


def load_hub_dataset(name: str, types_file: str | os.PathLike[str] | None = None) -> DatasetDict:
    """The splits `train`, `validation` (also called `dev`, `valid` or `val`) and `test` of a dataset on the Hub.

    Args:
        name: `org/name`; no code of it is run.
        types_file: the types. Default: those of class labels in the dataset's features, or those of its rows, by name.

    Raises:
        ValueError: it has none of these splits, or a row is refused; the message names split, row and field.
        OSError: there is no such dataset, or it cannot be reached.
    """
    try:
        found = datasets.load_dataset(name)
    except Exception as error:  # of many kinds: it is whatever the Hub and the files lead to
        raise OSError(
            f"{name}: expected a dataset on the Hub that can be loaded: {' '.join(str(error).split())}"
        ) from error
    wanted = {"train": ("train",), "validation": _VALIDATION, "test": ("test",)}
    chosen = {split: next((one for one in names if one in found), None) for split, names in wanted.items()}
    if not any(chosen.values()):
        raise ValueError(f"{name}: expected a split out of {', '.join(wanted)}, got {', '.join(found)}.")
    types = read_types(types_file) if types_file is not None else None
    labels = {kind: _class_label(found, kind) for kind in ("entities", "relations")}
    corpus = DatasetDict(
        {split: _split(found[own], f"{name}, {own}", labels, types) for split, own in chosen.items() if own is not None}
    )
    if types is None:
        types = types_in_rows(corpus.values())
        if all(label is not None for label in labels.values()):
            entities, relations = ({one: TypeName(one, one) for one in label.names} for label in labels.values())
            types = CorpusTypes(entities, relations)
    for rows in corpus.values():
        rows.info.description = described(rows.info.description, types)
    return corpus


def _class_label(found: Mapping[str, Dataset], kind: str) -> Any:
    """The class label of the field `type` of entities or relations, where it is one."""
    feature = next(iter(found.values())).features.get(kind)
    label = getattr(feature, "feature", {}).get("type") if feature is not None else None
    return label if isinstance(label, ClassLabel) else None


def _split(rows: Dataset, where: str, labels: Mapping[str, Any], types: CorpusTypes | None) -> Dataset:
    from .formats.rows import records_of_row

    records: list[dict[str, Any]] = []
    reading = Reading()
    for number, row in enumerate(rows.to_list()):
        place = f"{where}, row {number}"
        for kind, label in labels.items():
            for one in row.get(kind) or () if label is not None else ():
                one["type"] = label.int2str(one["type"])
        for record in records_of_row(row, place, str(number), reading):
            records.append(record_at(record, place, len(records), types))
    merged, count = merge_duplicate_entities(records, where)
    made = Dataset(checked_table(merged, where, types))
    made.info.description = with_merged_entities(where, count)
    return made
