"""The door through which annotated text enters: `load_corpus` and `types_of`.

The names are imported when they are asked for: `spert score` reads annotations without torch and datasets.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .columns import FEATURES, TEXT_FEATURES, words_and_texts
    from .loading import CARDS, CORPORA, load_corpus
    from .own import load_files
    from .spert_json import read_spert_json, write_spert_json
    from .types import CorpusTypes, TypeName, read_types, types_of

__all__ = [
    "CARDS",
    "CORPORA",
    "FEATURES",
    "TEXT_FEATURES",
    "CorpusTypes",
    "TypeName",
    "load_corpus",
    "load_files",
    "read_spert_json",
    "read_types",
    "types_of",
    "words_and_texts",
    "write_spert_json",
]

_HOME = {
    "CARDS": "loading",
    "CORPORA": "loading",
    "FEATURES": "columns",
    "TEXT_FEATURES": "columns",
    "CorpusTypes": "types",
    "TypeName": "types",
    "load_corpus": "loading",
    "load_files": "own",
    "read_spert_json": "spert_json",
    "read_types": "types",
    "types_of": "types",
    "words_and_texts": "columns",
    "write_spert_json": "spert_json",
}
"""The module of each name."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
