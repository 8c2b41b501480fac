"""Checked records to a `datasets.Dataset` that carries the corpus's types."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset, DatasetInfo

from .schema import FEATURES
from .types import CorpusTypes, described


def dataset_of_records(records: Sequence[dict[str, Any]], types: CorpusTypes, description: str) -> Dataset:
    """One split of a corpus.

    Args:
        records: as `schema.checked_record` returns them.
        types: what `types_of` will return.
        description: what the split is, for people.
    """
    info = DatasetInfo(description=described(description, types), features=FEATURES)
    return Dataset.from_list(list(records), features=FEATURES, info=info)
