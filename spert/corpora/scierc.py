"""SciERC: abstracts of computer science papers with six entity and seven relation types (Luan et al. 2018).

The official JSON holds an abstract a line and counts words from the start of the abstract, ends inclusive; here every
sentence is a record, spans count its own words and are half-open, and bracket escapes (`-LRB-`) are undone. A
sentence's `id` is `ABSTRACT/POSITION`, so that its neighbours can be found.
"""

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any

from datasets import DatasetDict

from ..files import parse_json
from .download import PublishedFile, download_files, existing_files
from .schema import record_at
from .spert_json import read_list
from .splits import cached_split
from .types import CorpusTypes, read_types, types_from_json
from .validation import ListAsTuple, Name, Schema, Text, validated

CARD = """
## SciERC

Abstracts of papers on artificial intelligence, with scientific terms and their relations. `load_corpus("scierc")` reads
the official JSON, from files or the official archive, and SpERT JSON. Sentences are records; their `id` is
`ABSTRACT/POSITION`.

{tables}

Cite: Yi Luan, Luheng He, Mari Ostendorf and Hannaneh Hajishirzi, "Multi-Task Identification of Entities, Relations, and
Coreference for Scientific Knowledge Graph Construction", EMNLP 2018. Licence: not stated in the files.
"""

OFFICIAL = {"train": "train.json", "validation": "dev.json", "test": "test.json"}
SPERT_JSON = {"train": "scierc_train.json", "validation": "scierc_dev.json", "test": "scierc_test.json"}
ARCHIVE = "sciERC_processed.tar.gz"
_ARCHIVE_FOLDER = "processed_data/json/"
MAX_UNPACKED = 2**28
"""The largest file that is read out of an archive, in bytes; the official ones have less than a hundredth of it."""
_PUBLISHED_AT = "http://nlp.cs.washington.edu/sciIE/data"

_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}

_ENTITIES = ("Task", "Method", "Material", "OtherScientificTerm", "Metric", "Generic")
_RELATIONS = ("Used-for", "Feature-of", "Hyponym-of", "Evaluate-for", "Part-of", "Compare", "Conjunction")
_SYMMETRIC = ("Compare", "Conjunction")
_OFFICIAL_RELATIONS = {name.upper(): name for name in _RELATIONS}  # the official files shout


def load_scierc(data_dir: str | None = None) -> DatasetDict:
    """The splits train (1861 sentences), validation (275) and test (551).

    Args:
        data_dir: a folder with the official `train.json`, `dev.json` and `test.json`, or with the official
            `sciERC_processed.tar.gz`, or with `scierc_train.json`, … in SpERT JSON. Default: the archive is downloaded.

    Raises:
        FileNotFoundError: the folder holds none of these.
        ValueError: a record is broken; the message names file, record, field and value.
    """
    types = scierc_types()
    if data_dir is None:
        archive = download_files("scierc", {"archive": PublishedFile(ARCHIVE)}, _PUBLISHED_AT)["archive"]
        return _splits(dict.fromkeys(OFFICIAL, archive), read_archived, types)
    folder = Path(data_dir)
    if (folder / "scierc_types.json").is_file():
        types = read_types(folder / "scierc_types.json")
    if (folder / SPERT_JSON["train"]).is_file():
        return _splits(existing_files("scierc", SPERT_JSON, data_dir), None, types)
    if (folder / OFFICIAL["train"]).is_file():
        return _splits(existing_files("scierc", OFFICIAL, data_dir), read_official, types)
    if (folder / ARCHIVE).is_file():
        return _splits(dict.fromkeys(OFFICIAL, str(folder / ARCHIVE)), read_archived, types)
    raise FileNotFoundError(
        f"scierc: expected {', '.join(OFFICIAL.values())}, or {ARCHIVE}, or {', '.join(SPERT_JSON.values())} in "
        f"{data_dir}, got none of them."
    )


def scierc_types() -> CorpusTypes:
    """The corpus's types, in the order of its authors."""
    return types_from_json(
        {
            "entities": {name: {} for name in _ENTITIES},
            "relations": {name: {"symmetric": name in _SYMMETRIC} for name in _RELATIONS},
        },
        "SciERC",
    )


def read_official(file: str, types: CorpusTypes, split: str = "train") -> Iterator[dict[str, Any]]:
    """The sentences of a file in the official format.

    Raises:
        ValueError: a line is broken; the message names file, abstract and sentence.
    """
    with open(file, "rb") as lines:
        yield from _sentences(lines, file, types)


def read_archived(file: str, types: CorpusTypes, split: str) -> Iterator[dict[str, Any]]:
    """The sentences of a split in the official archive.

    Raises:
        ValueError: the archive is damaged, lacks the split, or holds a file of more than `MAX_UNPACKED` bytes.
    """
    name = _ARCHIVE_FOLDER + OFFICIAL[split]
    try:
        with tarfile.open(file) as archive:
            size = archive.getmember(name).size
            if size > MAX_UNPACKED:
                raise ValueError(f"{file}, {name}: expected at most {MAX_UNPACKED} bytes unpacked, got {size}.")
            lines = archive.extractfile(name)
            if lines is None:
                raise ValueError(f"{file}, {name}: expected a file, got none.")
            yield from _sentences(lines, f"{file}, {OFFICIAL[split]}", types)
    except KeyError as error:
        raise ValueError(f"{file}: expected the official archive with {name}, got one without it.") from error
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file}: expected the official archive, but it cannot be read whole: {error}.") from error


def _sentences(lines: IO[bytes], file: str, types: CorpusTypes) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        try:
            content = parse_json(line)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        abstract = validated(_Abstract, content, place)
        for name, of_sentences in (("ner", abstract.ner), ("relations", abstract.relations)):
            if len(of_sentences) != len(abstract.sentences):
                raise ValueError(
                    f"{place}, field '{name}': expected a list for each of {len(abstract.sentences)} sentences, got "
                    f"{len(of_sentences)}."
                )
        first = 0  # the sentence's first word, counted from the start of the abstract
        for position, (words, ner, relations) in enumerate(
            zip(abstract.sentences, abstract.ner, abstract.relations, strict=True)
        ):
            name = f"{abstract.doc_key}/{position}"
            where = f"{file}, line {number}, sentence {name}"
            yield record_at(_sentence(words, ner, relations, first, where) | {"id": name}, where, name, types)
            first += len(words)


_Mention = Annotated[tuple[int, int, Name], ListAsTuple]
_Pair = Annotated[tuple[int, int, int, int, Name], ListAsTuple]


class _Abstract(Schema):
    """A line of an official file."""

    doc_key: Name
    sentences: list[list[Text]]
    ner: list[list[_Mention]]
    relations: list[list[_Pair]]


def _sentence(
    words: list[str],
    ner: list[tuple[int, int, str]],
    relations: list[tuple[int, int, int, int, str]],
    first: int,
    where: str,
) -> dict[str, Any]:
    for number, (start, end, _) in enumerate(ner):
        if not first <= start <= end < first + len(words):
            raise ValueError(
                f"{where}, field 'ner', entry {number}: expected words of this sentence, from {first} to "
                f"{first + len(words) - 1} of the abstract, got {start} to {end}."
            )
    spans = [(start - first, end - first + 1) for start, end, _ in ner]
    index = {span: number for number, span in enumerate(spans)}
    found = []
    for number, (head_start, head_end, tail_start, tail_end, kind) in enumerate(relations):
        ends = [(head_start - first, head_end - first + 1), (tail_start - first, tail_end - first + 1)]
        for span, whole in zip(ends, ([head_start, head_end], [tail_start, tail_end])):
            if span not in index:
                raise ValueError(
                    f"{where}, field 'relations', entry {number}: expected the words of an entity of this sentence, "
                    f"got {whole}."
                )
        kind = _OFFICIAL_RELATIONS.get(kind, kind)
        found.append({"type": kind, "head": index[ends[0]], "tail": index[ends[1]]})
    return {
        "tokens": [_BRACKETS.get(word, word) for word in words],
        "entities": [
            {"type": kind, "start": start, "end": end} for (start, end), (_, _, kind) in zip(spans, ner, strict=True)
        ],
        "relations": found,
    }


def _splits(files: Mapping[str, str], read: Callable[..., Any] | None, types: CorpusTypes) -> DatasetDict:
    """A dataset for each split; without `read`, of files in SpERT JSON."""
    return DatasetDict(
        {
            split: cached_split(
                partial(read, types=types, split=split) if read else read_list,
                file,
                types,
                f"SciERC, {split}",
            )
            for split, file in files.items()
        }
    )
