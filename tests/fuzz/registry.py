"""All kinds of files, and the cases of each."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from tests.fuzz.corruptions import Corruption, field_corruptions, file_corruptions
from tests.fuzz.judging import Judge, Kind


def all_kinds() -> list[Kind]:
    """Every kind of file."""
    from tests.fuzz import corpus_kinds, model_kinds, run_kinds

    return [*corpus_kinds.KINDS, *run_kinds.KINDS, *model_kinds.KINDS]


@contextmanager
def judge_in(kind: Kind, folder: Path) -> Iterator[Judge]:
    """A judge of a kind, in a folder, with a cache of datasets of its own."""
    with mock.patch("datasets.config.HF_DATASETS_CACHE", folder / "cache"), kind.around():
        yield Judge(kind, folder)


def cases_of(kind: Kind, judge: Judge, seed: int, sample: int | None = None) -> list[Corruption]:
    """The corruptions of a kind, or a sample of them that the seed decides."""
    generator = random.Random(seed)
    every = [*field_corruptions(kind.value), *file_corruptions(judge.content, generator)]
    cases = [case for case in every if case.name not in kind.without]
    return cases if sample is None else generator.sample(cases, min(sample, len(cases)))
