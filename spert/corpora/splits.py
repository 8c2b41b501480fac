"""Annotated files to `datasets.Dataset`s: checked once, cached as Arrow, read anew when a file changes."""

import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset

from .schema import FEATURES
from .types import CorpusTypes, described

Reader = Callable[[str], Iterable[dict[str, Any]]]
"""A function of a module (or a `functools.partial` of one) from a file to checked records."""


def cached_split(read: Reader, file: str | os.PathLike[str], types: CorpusTypes | None, description: str) -> Dataset:
    """One split of a corpus, in the Hugging Face cache as Arrow: memory-mapped, and ready at once the next time.

    Args:
        read: gives the file's records, as `schema.checked_record` returns them.
        file: the annotated file. The cache knows it by its content, so that an edited file is read anew.
        types: what `types_of` will return; without them it reads them off the rows.
        description: what the split is, for people.

    Raises:
        ValueError: a record is refused; the message names file, record, field and value.
    """
    hidden_before = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        rows = Dataset.from_generator(
            _rows, features=FEATURES, gen_kwargs={"read": read, "file": str(file), "content": _fingerprint(Path(file))}
        )
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, (ValueError, OSError, ModuleNotFoundError)):
            raise error.__cause__ from None  # ours, which says what to do
        raise
    finally:
        if not hidden_before:
            datasets.enable_progress_bars()
    rows.info.description = described(description, types) if types is not None else description
    return rows


def _rows(read: Reader, file: str, content: str) -> Iterator[dict[str, Any]]:
    """`content` is there to be hashed: another content is another dataset."""
    yield from read(file)


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
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()
