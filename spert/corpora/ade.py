"""ADE: drugs and their adverse effects in sentences of medical case reports (Gurulingappa et al. 2012).

Two forms: the raw `DRUG-AE.rel`, one relation a line, and the ten folds that the authors of the paper publish in SpERT
JSON. Entities may overlap.
"""

import itertools
import os
import re
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from datasets import DatasetDict, concatenate_datasets

from .download import PUBLISHED_AT, PublishedFile, download_files
from .duplicates import merged_entities, with_merged_entities
from .folds import check_fold, fold_of
from .schema import record_at
from .spacy_extra import import_spacy
from .spert_json import read_list
from .splits import cached_split
from .types import CorpusTypes, described, read_types, types_from_json
from .validation import shown

CARD = """
## ADE

Sentences of medical case reports with drugs and their adverse effects. `load_corpus("ade")` reads the raw `DRUG-AE.rel`
and the ten published folds; where the folds are not at hand, ten are made from the raw file, the same on every
machine, and the dataset's description says so. Sentences of the raw file keep their text as it was written.

{tables}

Cite: Harsha Gurulingappa et al., "Development of a benchmark corpus to support the automatic extraction of drug-related
adverse effects from medical case reports", Journal of Biomedical Informatics 45(5), 2012. Licence: not stated in the
file; the sentences are from MEDLINE abstracts.
"""

NUM_FOLDS = 10
RAW = "DRUG-AE.rel"
_FOLD = "ade_split_{fold}_{part}.json"
_TYPES = "ade_types.json"


def load_ade(data_dir: str | None = None, fold: int | None = None) -> DatasetDict:
    """All sentences as the split `train` (4272), or train and test of one fold.

    Where the published folds are not at hand, folds are made from the raw file (`folds.fold_of`). The splits'
    descriptions (`dataset.info.description`) say which of the two it is.

    Args:
        data_dir: a folder with `ade_split_{0..9}_{train,test}.json`, or with `DRUG-AE.rel`. Default: the published
            folds are downloaded.
        fold: 0 to 9. Default: no folds.

    Raises:
        FileNotFoundError: the folder holds neither form.
        ValueError: there is no such fold, or a line is broken; the message names file and line.
    """
    if fold is not None:
        check_fold(fold, NUM_FOLDS)
    wanted = {part: _FOLD.format(fold=fold or 0, part=part) for part in ("train", "test")}
    if data_dir is None:
        published = {part: PublishedFile(name) for part, name in {**wanted, "types": _TYPES}.items()}
        files = download_files("ade", published, f"{PUBLISHED_AT}/ade")
        return _published(files, read_types(files.pop("types")), fold)
    folder = Path(data_dir)
    types = read_types(folder / _TYPES) if (folder / _TYPES).is_file() else ade_types()
    if all((folder / name).is_file() for name in wanted.values()):
        return _published({part: str(folder / name) for part, name in wanted.items()}, types, fold)
    if not (folder / RAW).is_file():
        raise FileNotFoundError(f"ade: expected {RAW}, or {' and '.join(wanted.values())}, in {data_dir}.")
    raw = folder / RAW
    read = partial(read_raw, types=types)
    everything = DatasetDict({"train": cached_split(read, raw, types, f"ADE, all sentences of {RAW}")})
    return everything if fold is None else fold_of(everything, fold, NUM_FOLDS, f"ADE, {RAW}")


def ade_types() -> CorpusTypes:
    """The corpus's types, in the published order."""
    return types_from_json({"entities": {"Drug": {}, "Adverse-Effect": {}}, "relations": {"Adverse-Effect": {}}}, "ADE")


def read_raw(path: str | os.PathLike[str], types: CorpusTypes | None = None) -> list[dict[str, Any]]:
    """The sentences of `DRUG-AE.rel`, in the order of their first line, with their text; `id` is `PUBMED/NUMBER`.

    A line is `PubMed id | sentence | effect | begin | end | drug | begin | end`. Its offsets count from the start of an
    abstract that is not in the file: a pair of mentions is found in the sentence by text and by the distance between
    its offsets, and where that fits several places, lines take them in turn.

    Raises:
        ValueError: a line has other fields, or its mentions are not in its sentence.
    """
    sentences: dict[tuple[str, str], list[_Pair]] = {}
    with open(path, "rb") as lines:
        for number, line in enumerate(lines):
            where = f"{path}, line {number + 1}"
            pubmed, sentence, effect, effect_start, _, drug, drug_start, _ = _fields_of(line, where)
            found = sentences.setdefault((pubmed, sentence), [])
            distance = int(drug_start) - int(effect_start)
            pair = next((one for one in _places(sentence, effect, drug, distance) if one not in found), None)
            if pair is None:
                raise ValueError(
                    f"{where}: expected {shown(effect)} and {shown(drug)}, {distance} characters apart, in "
                    f"{shown(sentence)}, and did not find them, or not often enough."
                )
            found.append(pair)
    records: list[dict[str, Any]] = []
    numbers: dict[str, int] = {}
    for (pubmed, sentence), pairs in sentences.items():
        number = numbers[pubmed] = numbers.get(pubmed, -1) + 1
        where = f"{path}, sentence {pubmed}/{number}"
        records.append(record_at(_record(sentence, pairs, where) | {"id": f"{pubmed}/{number}"}, where, number, types))
    return records


def _fields_of(line: bytes, where: str) -> list[str]:
    try:
        fields = line.decode("utf-8-sig").rstrip("\r\n").split("|")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: expected UTF-8, but byte {error.start} is none: {error.reason}.") from None
    numbers = [fields[index] for index in (0, 3, 4, 6, 7)] if len(fields) == 8 else []
    if not numbers or not all(re.fullmatch(r"[0-9]{1,18}", text) for text in numbers):
        raise ValueError(
            f"{where}: expected 8 fields between '|', with whole numbers as offsets, got {shown('|'.join(fields))}."
        )
    if not fields[2] or not fields[5]:
        raise ValueError(f"{where}: expected an effect and a drug, got {shown(fields[2])} and {shown(fields[5])}.")
    for kind, mention, start, end in (("effect", *fields[2:5]), ("drug", *fields[5:8])):
        if int(end) - int(start) != len(mention):
            raise ValueError(
                f"{where}: expected the {kind} {shown(mention)} to be as long as its offsets {start} and {end}."
            )
    return fields


_Span = tuple[int, int]
_Pair = tuple[_Span, _Span]
"""Effect and drug, as ranges of characters."""


def _places(sentence: str, effect: str, drug: str, distance: int) -> Iterator[_Pair]:
    for match in re.finditer(f"(?={re.escape(effect)})", sentence):
        start = match.start() + distance
        if start >= 0 and sentence.startswith(drug, start):
            yield (match.start(), match.start() + len(effect)), (start, start + len(drug))


def _record(sentence: str, pairs: list[_Pair], where: str) -> dict[str, Any]:
    """A sentence with one entity for each distinct span and type, and one relation (effect to drug) for each pair."""
    words = split_into_words(sentence)
    starts = {start: index for index, (start, _) in enumerate(words)}
    ends = {end: index + 1 for index, (_, end) in enumerate(words)}

    def word_span(span: _Span) -> _Span:
        text = sentence[slice(*span)]
        start = span[0] + len(text) - len(text.lstrip())  # two mentions are written with a space beside them
        end = span[1] - len(text) + len(text.rstrip())
        if start not in starts or end not in ends:
            raise ValueError(f"{where}: the mention {shown(text)} cuts through a word of {shown(sentence)}.")
        return starts[start], ends[end]

    joined = [((*word_span(effect), "Adverse-Effect"), (*word_span(drug), "Drug")) for effect, drug in pairs]
    spans = sorted({span for pair in joined for span in pair})
    index = {span: number for number, span in enumerate(spans)}
    relations = {(index[effect], index[drug]) for effect, drug in joined}
    return {
        "tokens": [sentence[start:end] for start, end in words],
        "entities": [{"type": kind, "start": start, "end": end} for start, end, kind in spans],
        "relations": [{"type": "Adverse-Effect", "head": head, "tail": tail} for head, tail in sorted(relations)],
        "text": sentence,
        "words": [[start, end] for start, end in words],
    }


def split_into_words(sentence: str) -> list[_Span]:
    """SpaCy's English words, as ranges of characters, with the original's corner cases.

    A final full stop is a word of its own (`amphotericin B.`), and so are the parts of `)-` (`(5-FU)-based`) and the
    hyphen of `bisabolol-`.

    Raises:
        ModuleNotFoundError: spaCy is not installed; the message says how to.
    """
    words: list[_Span] = []
    for token in _english()(sentence):
        if token.is_space:
            continue
        start, end = token.idx, token.idx + len(token)
        cuts = {start, end}
        for match in re.finditer(r"\)-", token.text):
            cuts |= {start + match.start(), start + match.start() + 1, start + match.end()}
        if token.text == "bisabolol-" or (token.text.endswith(".") and end == len(sentence.rstrip())):
            cuts.add(end - 1)
        ordered = sorted(cuts)
        words += list(itertools.pairwise(ordered))
    return words


@cache
def _english() -> Any:
    return import_spacy("ade: splitting DRUG-AE.rel into words").blank("en")


def _published(files: dict[str, str], types: CorpusTypes, fold: int | None) -> DatasetDict:
    named = f"published fold {fold or 0} of {NUM_FOLDS}"
    parts = {part: cached_split(read_list, files[part], types, f"ADE, {named}, {part}") for part in ("train", "test")}
    if fold is not None:
        return DatasetDict(parts)
    everything = concatenate_datasets(list(parts.values()))
    about = with_merged_entities("ADE, all sentences of the published folds", merged_entities(everything))
    everything.info.description = described(about, types)
    return DatasetDict({"train": everything})
