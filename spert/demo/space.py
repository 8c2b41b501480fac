"""The page of a model on the Hub, as a Space serves it: with the model's own code, at one commit."""

import json
from pathlib import Path

from .reading import MAX_CHARACTERS, Reader
from .serving import launch


def main(folder: Path) -> None:
    """Load the model that `space.json` of a folder names, and serve its page."""
    from transformers import pipeline

    settings = json.loads((folder / "space.json").read_text(encoding="utf-8"))
    extract = pipeline(
        "entity-relation-extraction",  # type: ignore[call-overload]  # a task of the model's own
        model=settings["model"],
        revision=settings["revision"],
        trust_remote_code=True,
    )
    reader = Reader.of(settings["model"], extract, extract.processor, extract._options({}), MAX_CHARACTERS)
    launch(reader, settings["examples"])
