"""spaCy, which is an optional part of the installation."""

from typing import Any


def import_spacy(purpose: str) -> Any:
    """The module `spacy`.

    Args:
        purpose: what needs it, for the error.

    Raises:
        ModuleNotFoundError: it is not installed; the message says how to install it.
    """
    try:
        import spacy
        import spacy.tokens
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{purpose} needs spaCy: pip install 'spert[spacy]'.") from error
    return spacy
