"""Annotated files to `datasets.Dataset`s: checked once, cached as Arrow, read anew when a file changes."""

import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets import Dataset

from .columnar import checked_table
from .duplicates import merge_duplicate_entities, merged_entities, with_merged_entities
from .types import CorpusTypes, described

Reader = Callable[[str], Iterable[Any]]
"""A function of a module (or a `functools.partial` of one) from a file to records, which are checked afterwards."""


def cached_split(read: Reader, file: str | os.PathLike[str], types: CorpusTypes | None, description: str) -> Dataset:
    """One split of a corpus, in the Hugging Face cache as Arrow: memory-mapped, and ready at once the next time.

    Args:
        read: gives the file's records, in the form of SpERT JSON.
        file: the annotated file. The cache knows it by its content, so that an edited file is read anew.
        types: refuse other types than these; `types_of` will return them. Without them it reads them off the rows.
        description: what the split is, for people.

    Raises:
        ValueError: a record is refused; the message names file, record, field and value.
    """
    hidden_before = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        builder = _Split(read=read, file=str(file), types=types, content=_fingerprint(Path(file)))
        builder.download_and_prepare()
        rows: Dataset = builder.as_dataset("train")
    except datasets.exceptions.DatasetGenerationError as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None  # ours, which says what to do
        raise
    finally:
        if not hidden_before:
            datasets.enable_progress_bars()
    description = with_merged_entities(description, merged_entities(rows))
    rows.info.description = described(description, types) if types is not None else description
    return rows


@dataclass
class _SplitConfig(datasets.BuilderConfig):
    """Everything that decides the rows: the cache knows a split by the hash of these."""

    read: Reader | None = None
    file: str = ""
    types: CorpusTypes | None = None
    content: str = ""


class _Split(datasets.ArrowBasedBuilder):
    """Writes one table to the cache."""

    BUILDER_CONFIG_CLASS = _SplitConfig

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo()  # the table says whether the split has the columns of a text

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator("train")]

    def _generate_tables(self) -> Iterator[tuple[int, pa.Table]]:
        file, types = self.config.file, self.config.types
        records = list(self.config.read(file))
        if not records:
            raise ValueError(f"{file}: expected at least one record, got none.")
        table = checked_table(records, file, types)
        merged, count = merge_duplicate_entities(records, file)
        if count:
            self.info.description = with_merged_entities("", count)  # the cache keeps it beside the rows
            table = checked_table(merged, file, types)
        yield 0, table


def _fingerprint(file: Path) -> str:
    """The file's content, and that of the code that reads it."""
    digest = hashlib.sha256(_fingerprint_of_readers().encode())
    with open(file, "rb") as content:
        for block in iter(lambda: content.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()


@functools.cache
def _fingerprint_of_readers() -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()
