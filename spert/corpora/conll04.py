"""CoNLL04: news sentences with people, organizations, places and five relations (Roth and Yih 2004).

The split of Gupta et al. 2016, with the development part of Eberts and Ulges 2019, as the authors of the paper publish
it in SpERT JSON.
"""

from datasets import DatasetDict

from .download import corpus_files
from .spert_json import read_list
from .splits import cached_split
from .types import read_types

CARD = """
## CoNLL04

News sentences with people, organizations and places, and five relations between them. The split of Gupta et al. (2016),
with the development part of Eberts and Ulges (2019). `load_corpus("conll04")` reads SpERT JSON.

{tables}

Cite: Dan Roth and Wen-tau Yih, "A Linear Programming Formulation for Global Inference in Natural Language Tasks", CoNLL
2004. Licence: not stated in the files; the sentences are from news wires.
"""

FILES = {
    "train": "conll04_train.json",
    "validation": "conll04_dev.json",
    "test": "conll04_test.json",
    "types": "conll04_types.json",
}


def load_conll04(data_dir: str | None = None) -> DatasetDict:
    """The splits train (922 sentences), validation (231) and test (288)."""
    files = corpus_files("conll04", FILES, data_dir)
    types = read_types(files.pop("types"))
    return DatasetDict(
        {split: cached_split(read_list, file, types, f"CoNLL04, {split}") for split, file in files.items()}
    )
