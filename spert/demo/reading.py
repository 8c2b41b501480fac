"""From what a visitor typed and chose to what a model found, or to a message that a person wants to read."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SENTENCES = ("found", "line", "one")
"""How a text becomes sentences: they are found, each line is one, or the whole text is."""

OVERLAPS = ("all", "nested", "none")
MAX_CHARACTERS = 20_000

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reader:
    """A model, as the page needs it.

    Args:
        name: what the page calls the model.
        extract: a text (or a record with `text` and `sentences`) and options to a result of the pipeline.
        processor: a `SpertProcessor`, which knows the windows of a text.
        entity_thresholds, relation_thresholds: the model's own, by type, in the order of its types.
        overlapping_entities: the model's own choice out of `OVERLAPS`.
        symmetric_relations: relations whose direction has no meaning.
        max_characters: the longest text that is read.
    """

    name: str
    extract: Callable[..., dict[str, Any]]
    processor: Any
    entity_thresholds: Mapping[str, float]
    relation_thresholds: Mapping[str, float]
    overlapping_entities: str = "all"
    symmetric_relations: Sequence[str] = ()
    max_characters: int = MAX_CHARACTERS

    @classmethod
    def of(
        cls, name: str, extract: Callable[..., dict[str, Any]], processor: Any, options: Any, max_characters: int
    ) -> "Reader":
        """The reader of a model whose configuration holds these `DecodingOptions`."""
        return cls(
            name=name,
            extract=extract,
            processor=processor,
            entity_thresholds=options.thresholds("entity_threshold"),
            relation_thresholds=options.thresholds("relation_threshold"),
            overlapping_entities=options.overlapping_entities,
            symmetric_relations=tuple(options.symmetric_relations),
            max_characters=max_characters,
        )

    @property
    def entity_types(self) -> list[str]:
        """The names of the entity types."""
        return list(self.entity_thresholds)

    @property
    def relation_types(self) -> list[str]:
        """The names of the relation types."""
        return list(self.relation_thresholds)

    @property
    def is_tuned_by_type(self) -> bool:
        """Whether the model's thresholds differ from type to type."""
        return any(len(set(values.values())) > 1 for values in (self.entity_thresholds, self.relation_thresholds))


@dataclass(frozen=True)
class Choices:
    """What a visitor chose.

    Args:
        entity_threshold, relation_threshold: the least scores, from 0 to 1; `None` for the model's own.
        entity_types, relation_types: what is shown. A relation is shown only between entities that are.
        overlapping_entities: out of `OVERLAPS`.
        sentences: out of `SENTENCES`.
        sentences_per_window: sentences that are read together.
    """

    entity_threshold: float | None
    relation_threshold: float | None
    entity_types: Sequence[str]
    relation_types: Sequence[str]
    overlapping_entities: str = "all"
    sentences: str = "found"
    sentences_per_window: int = 1


@dataclass(frozen=True)
class Reading:
    """What was found in a text.

    Args:
        result: the dictionary of the pipeline, with what the visitor wants to see.
        windows: the half-open ranges of words that passed the encoder together.
    """

    result: dict[str, Any]
    windows: list[tuple[int, int]]


class UnreadableError(Exception):
    """A text or a file that the page does not read.

    Args:
        title: what is wrong, in a few words.
        advice: what was found, and what to do.
        is_fault: whether something went wrong, as opposed to nothing having been asked for yet.
    """

    def __init__(self, title: str, advice: str, is_fault: bool = True):
        super().__init__(f"{title}. {advice}")
        self.title = title
        self.advice = advice
        self.is_fault = is_fault


def read(reader: Reader, text: str, choices: Choices) -> Reading:
    """What a model finds in a text.

    Raises:
        UnreadableError: there is no text, it is too long, or the model cannot read it.
    """
    if not text.strip():
        raise UnreadableError(
            "No text yet", "Type or paste one, choose an example, or open a file; then press Extract.", is_fault=False
        )
    if len(text) > reader.max_characters:
        raise UnreadableError(
            "This text is too long",
            f"It has {len(text):,} characters, and this page reads at most {reader.max_characters:,}. Nothing was cut "
            f"off: take a part of the text. Whole files are for the command spert predict.",
        )
    item: Any = text
    if choices.sentences == "line":
        item = {"text": text, "sentences": lines_of(text)}
    options: dict[str, Any] = {"sentences": False} if choices.sentences == "one" else {}
    options["sentences_per_window"] = int(choices.sentences_per_window)
    try:
        (encoded,) = reader.processor.encode_documents([item], **options)
        result = reader.extract(
            item,
            entity_threshold=choices.entity_threshold,
            relation_threshold=choices.relation_threshold,
            overlapping_entities=choices.overlapping_entities,
            **options,
        )
    except ValueError as error:
        raise _explained(error) from error
    except Exception as error:
        _LOG.exception("a text could not be read")
        raise UnreadableError(
            "Something went wrong here, not in your text",
            f"The log of this page says more ({type(error).__name__}).",
        ) from error
    windows = [(window.start, window.end) for window in encoded.windows]
    return Reading(only(result, choices.entity_types, choices.relation_types), windows)


def only(result: Mapping[str, Any], entity_types: Sequence[str], relation_types: Sequence[str]) -> dict[str, Any]:
    """A result with the entities of some types, and the relations of some types that are between these."""
    kept = [index for index, entity in enumerate(result["entities"]) if entity["type"] in entity_types]
    place = {index: number for number, index in enumerate(kept)}
    relations = [
        {**relation, "head": place[relation["head"]], "tail": place[relation["tail"]]}
        for relation in result["relations"]
        if relation["type"] in relation_types and relation["head"] in place and relation["tail"] in place
    ]
    return {**result, "entities": [result["entities"][index] for index in kept], "relations": relations}


def lines_of(text: str) -> list[list[int]]:
    """The character range of each line that is not blank, without the space around it."""
    ranges = []
    for line in re.finditer(r"[^\r\n]+", text):
        if words := line[0].strip():
            start = line.start() + line[0].index(words)
            ranges.append([start, start + len(words)])
    return ranges


def read_file(path: str | Path, max_characters: int) -> str:
    """The text of a file that a visitor opened.

    Raises:
        UnreadableError: the file is no UTF-8 text, or is too large.
    """
    data = Path(path).read_bytes()
    name = Path(path).name
    if len(data) > 4 * max_characters:  # no character takes more bytes
        raise UnreadableError(
            "This file is too large",
            f"{name} has {len(data):,} bytes, and this page reads at most {max_characters:,} characters. Whole files "
            f"are for the command spert predict.",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(
            "This file is no plain text in UTF-8",
            f"Byte {error.start:,} of {name} cannot be read. Save the file as plain text in UTF-8, or copy its text "
            f"into the box.",
        ) from error
    if "\0" in text:
        raise UnreadableError(
            "This file is no plain text", f"Save {name} as plain text, or copy its text into the box."
        )
    return text


def _explained(error: ValueError) -> UnreadableError:
    message = str(error).removeprefix("SpertProcessor: ")
    long_word = re.search(
        r"word \d+ \((.+)\) has (\d+) pieces by itself, the encoder takes at most (\d+)", message, re.DOTALL
    )
    if long_word:
        word, pieces, capacity = long_word.groups()
        return UnreadableError(
            "One word is too long for this model",
            f"{word} comes to {pieces} pieces, and the model takes at most {capacity} at a time. Put spaces into it, "
            f"or leave it out.",
        )
    return UnreadableError("This text cannot be read", message[:1].upper() + message[1:])
