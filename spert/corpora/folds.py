"""A corpus in folds for cross-validation: the same folds on every machine."""

import hashlib

from datasets import Dataset, DatasetDict, concatenate_datasets

from .duplicates import merged_entities, with_merged_entities
from .types import described, types_of


def fold_of(corpus: DatasetDict, fold: int, num_folds: int, name: str) -> DatasetDict:
    """Train and test of one fold, made of all sentences of all splits.

    Sentences are put into the order of the SHA-256 of document and text, and each `num_folds`-th belongs to a fold's
    test split; one that stands in a document twice is on one side. What an `id` holds before its last `/` is the
    document (SciERC's abstract, ADE's PubMed id, or nothing).

    Args:
        fold: 0 to `num_folds - 1`.
        name: the corpus, for the splits' descriptions, which also say how the folds were made.

    Raises:
        ValueError: there is no such fold, or there are fewer sentences than folds.
    """
    check_fold(fold, num_folds)
    types = types_of(corpus)
    rows: Dataset = concatenate_datasets(list(corpus.values()))
    digests = [
        hashlib.sha256(f"{identifier.rpartition('/')[0]}|{' '.join(tokens)}".encode()).hexdigest()
        for identifier, tokens in zip(rows["id"], rows["tokens"])
    ]
    rank = {digest: number for number, digest in enumerate(sorted(set(digests)))}
    if len(rank) < num_folds:
        raise ValueError(f"{name}: expected at least {num_folds} different sentences for the folds, got {len(rank)}.")
    parts: dict[str, list[int]] = {"train": [], "test": []}
    for index, digest in enumerate(digests):
        parts["test" if rank[digest] % num_folds == fold else "train"].append(index)
    made = DatasetDict({part: rows.select(indices) for part, indices in parts.items()})
    for part, split in made.items():
        about = f"{name}, fold {fold} of {num_folds}, made by the order of SHA-256 (not published folds), {part}"
        if part == "train":  # reported once, for the whole corpus: the rows do not say which of them were merged
            about = with_merged_entities(about, merged_entities(corpus))
        split.info.description = described(about, types)
    return made


def check_fold(fold: int, num_folds: int) -> None:
    """*Raises* `ValueError` where there is no such fold."""
    if num_folds < 2:
        raise ValueError(f"Expected at least 2 folds, got {num_folds}.")
    if isinstance(fold, bool) or fold not in range(num_folds):
        raise ValueError(f"Expected a fold from 0 to {num_folds - 1}, got {fold!r}.")
