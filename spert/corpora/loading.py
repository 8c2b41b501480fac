"""The corpora that are known by name, and `load_corpus`, which loads these and a user's own."""

import os

from datasets import DatasetDict

from . import ade, conll04, scierc
from .ade import load_ade
from .conll04 import load_conll04
from .folds import fold_of
from .hub_datasets import is_hub_name, load_hub_dataset
from .own import load_own
from .scierc import load_scierc

CORPORA = {"conll04": load_conll04, "scierc": load_scierc, "ade": load_ade}
"""The corpora that are known by name, and what loads each."""

CARDS = {"conll04": conll04.CARD, "scierc": scierc.CARD, "ade": ade.CARD}
"""What each of them is and how to cite it, with a place for its tables."""


def load_corpus(
    name_or_path: str | os.PathLike[str],
    data_dir: str | None = None,
    *,
    fold: int | None = None,
    num_folds: int | None = None,
    types_file: str | os.PathLike[str] | None = None,
) -> DatasetDict:
    """A corpus by name, or a user's own.

    Args:
        name_or_path: a name out of `CORPORA`; or a folder with `train.json`, `validation.json`, `test.json` (any of
            them) and `types.json`; or one annotated file, in the format of its ending, which becomes the split `train`;
            or a dataset on the Hub (`"org/name"`) whose rows are SpERT JSON or JSON Lines.
        data_dir: the folder that holds a named corpus's files. Default: they are downloaded once.
        fold: train and test of one fold, counted from 0. Default: no folds; ADE is then the split `train`.
        num_folds: cut all sentences into this many folds (`folds.fold_of`). Default: those that the corpus comes in,
            which only ADE does (ten).
        types_file: the types of a user's own corpus. Default: the folder's `types.json`, or those of the data.

    Returns:
        Splits with the columns of `FEATURES`, and with those of `TEXT_FEATURES` where records have a text of their own.
        `types_of` gives their types.

    Raises:
        FileNotFoundError: there is no such corpus, folder or file.
        ValueError: a record or type file is refused; the message names file, record, field and value.
    """
    if fold is not None and num_folds is None and name_or_path != "ade":
        raise ValueError(
            f"load_corpus: only ade comes in folds, got fold={fold!r} for {str(name_or_path)!r}. Say how many "
            f"to cut it into with num_folds."
        )
    if num_folds is not None:
        if fold is None:
            raise ValueError(f"load_corpus: expected a fold beside num_folds={num_folds!r}, got none.")
        return fold_of(load_corpus(name_or_path, data_dir, types_file=types_file), fold, num_folds, str(name_or_path))
    if name_or_path in CORPORA:
        if types_file is not None:
            raise ValueError(f"load_corpus: {name_or_path} brings its own types, got types_file={str(types_file)!r}.")
        return load_ade(data_dir, fold) if fold is not None else CORPORA[str(name_or_path)](data_dir)
    if not os.path.exists(name_or_path):
        if is_hub_name(str(name_or_path)) and data_dir is None:
            return load_hub_dataset(str(name_or_path), types_file)
        raise FileNotFoundError(
            f"load_corpus: expected one of {', '.join(CORPORA)}, a folder or file of annotations, or a dataset on the "
            f"Hub (org/name), got {str(name_or_path)!r}, which is none of these."
        )
    if data_dir is not None:
        raise ValueError(f"load_corpus: data_dir goes with a corpus's name, got the path {str(name_or_path)!r}.")
    return load_own(name_or_path, types_file)
