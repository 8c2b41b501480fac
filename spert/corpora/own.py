"""A user's own annotations: a folder of splits in SpERT JSON, or files in any format that an ending names."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .reading import Reading
from .spert_json import read_list
from .types import CorpusTypes, described, read_types, types_of

if TYPE_CHECKING:
    from datasets import DatasetDict

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")

ENDINGS = (".jsonl", ".csv", ".parquet", ".spacy", ".bio", ".bilou", ".conll", ".iob", ".tsv")
"""Of files in other formats; any other file is SpERT JSON."""


def load_own(path: str | os.PathLike[str], types_file: str | os.PathLike[str] | None = None) -> "DatasetDict":
    """A folder with `train.json`, `validation.json`, `test.json` (any of them) and `types.json`, or one file.

    Args:
        path: the folder, or a file, which becomes the split `train`.
        types_file: the types; default: the folder's `types.json`, or those of the data, by name.
    """
    files, types_beside = files_of(path)
    return load_files(files, types_beside if types_file is None else types_file)


def files_of(path: str | os.PathLike[str]) -> tuple[dict[str, Path], Path | None]:
    """The file of each split of a folder, or one file as `train`; and the folder's type file, where it has one.

    Raises:
        FileNotFoundError: the folder holds no split.
    """
    place = Path(path)
    if not place.is_dir():
        return {"train": place}, None
    files = {split: place / f"{split}.json" for split in SPLITS if (place / f"{split}.json").is_file()}
    if not files:
        raise FileNotFoundError(f"{path}: expected at least one of train.json, validation.json and test.json in it.")
    types_file = place / "types.json"
    return files, types_file if types_file.is_file() else None


def load_files(
    files: Mapping[str, str | os.PathLike[str]], types_file: str | os.PathLike[str] | None = None
) -> "DatasetDict":
    """Splits from files, each in the format of its ending: `.json`, `.jsonl`, `.csv`, `.parquet`, `.conll`, ….

    Formats that hold text and no words are split into words by the general splitter.

    Raises:
        ValueError: a record is refused; the message names file, record, field and value.
    """
    from datasets import DatasetDict

    from .splits import cached_split

    types: CorpusTypes | None = read_types(types_file) if types_file is not None else None
    corpus = DatasetDict(
        {split: cached_split(_read, file, types, f"{Path(file).name}, {split}") for split, file in files.items()}
    )
    if types is None:
        types = types_of(corpus)
        if not types.entities:
            raise ValueError(
                f"{', '.join(map(str, files.values()))}: expected entities to read the types off, got none. Name a "
                f"type file."
            )
        for rows in corpus.values():
            rows.info.description = described(rows.info.description, types)
    return corpus


def _read(file: str) -> list[Any]:
    """The records of a file, in the form of SpERT JSON; what is not read is logged."""
    from .formats import read_records  # which SpERT JSON does without

    if Path(file).suffix not in ENDINGS:
        return read_list(file)
    reading = Reading()
    records = read_records(Path(file), reading)
    for what, count in sorted(reading.lost.items()):
        if count:
            logger.warning(f"{file}: {count} {what}")
    for what, places in sorted(reading.left_out.items()):
        logger.warning(f"{file}: {len(places)} {what}, left out: {'; '.join(places)}")
    return records
