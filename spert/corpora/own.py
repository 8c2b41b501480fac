"""A user's own annotations in SpERT JSON: a folder of splits, or one file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .spert_json import read_list
from .types import CorpusTypes, described, read_types, types_of

if TYPE_CHECKING:
    from datasets import DatasetDict

SPLITS = ("train", "validation", "test")


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
    """Splits from files. *Raises* `ValueError` where a record is refused, naming file, record, field and value."""
    from datasets import DatasetDict

    from .splits import cached_split

    types: CorpusTypes | None = read_types(types_file) if types_file is not None else None
    corpus = DatasetDict(
        {split: cached_split(read_list, file, types, f"{Path(file).name}, {split}") for split, file in files.items()}
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
