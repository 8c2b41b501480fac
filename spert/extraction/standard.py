"""`spert predict` with `-`: standard input and standard output in place of files."""

import hashlib
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from ..prediction import Refused, predict_stream
from .records import sentence_of
from .sinks import json_line
from .sources import Entry, Source, lines_of_stream, open_file

NAME = "standard input"


@contextmanager
def read_whole(ending: str) -> Iterator[Source]:
    """Everything that comes from standard input, kept in a temporary file until the block ends.

    Args:
        ending: of a file of that format, such as `.jsonl`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"input{ending}")
        with open(path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield replace(open_file(path), name=NAME, identity=f"SHA-256 {digest}")


@contextmanager
def read_as_it_comes(ending: str) -> Iterator[Source]:
    """Standard input; formats that cannot be read line by line are kept in a temporary file."""
    if ending in (".jsonl", ".txt"):
        yield lines_of_stream(NAME, sys.stdin.buffer, ending)
        return
    with read_whole(ending) as source:
        yield source


@dataclass
class Written:
    """How many entries were read, and how many of them were refused."""

    entries: int = 0
    refused: int = 0


def write_results(
    source: Source,
    model: Any,
    processor: Any,
    stream: IO[bytes],
    refuse: Callable[[str], None],
    *,
    column: str | None,
    sentences: str | None,
    given_entities: bool,
    batch_size: int,
    on_overflow: str,
    sentences_per_window: int | None,
    all_scores: bool,
    decoding: Mapping[str, Any],
    cuda_graphs: bool = False,
) -> Written:
    """Write what is found in a source as JSON Lines, in constant memory.

    Args:
        refuse: is told of each entry that cannot be read or written, and why.
        column, sentences, given_entities, batch_size, on_overflow, sentences_per_window, all_scores, decoding,
            cuda_graphs: see `spert predict --help`.
    """
    read: deque[Entry] = deque()
    written = Written()

    def texts() -> Iterator[Any]:
        for entry in source.read(lambda number: True):
            read.append(entry)
            yield sentence_of(entry.value, column, sentences, given_entities)

    found = predict_stream(
        model,
        processor,
        texts(),
        batch_size=batch_size,
        on_overflow=on_overflow,
        sentences_per_window=sentences_per_window,
        return_all_scores=all_scores,
        cuda_graphs=cuda_graphs,
        **decoding,
    )
    with closing(found):  # type: ignore[type-var]  # it is a generator
        for result in found:
            entry = read.popleft()
            written.entries += 1
            try:
                if isinstance(result, Refused):
                    raise ValueError(result.reason)
                stream.write(json_line(entry.value, result, column))
            except ValueError as error:
                written.refused += 1
                refuse(f"{source.where(entry)}: {error}")
    stream.flush()
    return written
