"""What is inspected: sentences, their annotations, and one system or two of them, with the mistakes of each."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .mistakes import Mistake, mistakes_in
from .proposals import ArgumentTypes, argument_types, propose
from .readings import Entity, Reading, Relation, reading_of

MOST_LISTED = 100
"""Mistakes of a sentence that are listed; the others are counted. An untrained model makes thousands in a sentence."""


@dataclass(frozen=True)
class System:
    """A model, or a file of predictions.

    Args:
        name: for people.
        readings: what it found in each sentence.
        mistakes: what is wrong with it, in each sentence.
        threshold: for relations, the lowest one where they differ by type; `None` where scores are not known.
        given: what a model finds where the annotated entities are given to it; `None` for files.
    """

    name: str
    readings: Sequence[Reading]
    mistakes: Sequence[Sequence[Mistake]]
    threshold: float | None = None
    given: Sequence[Reading] | None = None


@dataclass(frozen=True)
class Inspected:
    """Sentences with annotations and what systems found in them.

    Args:
        title: of the report.
        about: facts on how it was made, each with its name.
        ids, tokens: of each sentence.
        gold: the annotations of each sentence.
        systems: one, or two that are compared.
        symmetric_relations: types whose direction has no meaning.
        training: annotated sentences that the systems were trained on, for what is seen and unseen.
    """

    title: str
    about: Mapping[str, str]
    ids: Sequence[str]
    tokens: Sequence[Sequence[str]]
    gold: Sequence[Reading]
    systems: Sequence[System]
    symmetric_relations: Sequence[str]
    training: Sequence[Mapping[str, Any]] | None = None

    @classmethod
    def of(
        cls,
        title: str,
        about: Mapping[str, str],
        records: Sequence[Mapping[str, Any]],
        systems: Iterable[System],
        symmetric_relations: Sequence[str],
        training: Sequence[Mapping[str, Any]] | None = None,
    ) -> "Inspected":
        """Put together annotated records in SpERT JSON and systems that read them."""
        return cls(
            title,
            about,
            [str(record["id"]) for record in records],
            [list(record["tokens"]) for record in records],
            [reading_of(record, symmetric_relations) for record in records],
            list(systems),
            list(symmetric_relations),
            training,
        )

    def argument_types(self) -> ArgumentTypes:
        """The pairs of entity types that each relation type joins in the annotations."""
        return argument_types(self.gold)

    def types(self) -> tuple[list[str], list[str]]:
        """The types of entities and of relations that occur, by name."""
        readings = [*self.gold, *(reading for system in self.systems for reading in system.readings)]
        return tuple(  # type: ignore[return-value]
            sorted({thing.type for reading in readings for thing in getattr(reading, task)})
            for task in ("entities", "relations")
        )


def system_of(
    name: str,
    records: Sequence[Mapping[str, Any]],
    readings: Sequence[Reading],
    symmetric_relations: Sequence[str],
    threshold: float | None = None,
    given: Sequence[Reading] | None = None,
) -> System:
    """A system with its mistakes.

    Args:
        name: for people.
        records: annotated sentences.
        readings: what it found in them.
        symmetric_relations: types whose direction has no meaning.
        threshold, given: see `System`. Without a threshold it is the lowest score of a relation in the readings.
    """
    mistakes = [
        mistakes_in(reading_of(record, symmetric_relations), reading, symmetric_relations)
        for record, reading in zip(records, readings, strict=True)
    ]
    scores = [score for reading in readings for score in reading.relations.values() if score is not None]
    return System(name, readings, mistakes, min(scores, default=None) if threshold is None else threshold, given)


def shown_name(name: str | os.PathLike[str] | None) -> str:
    """How a report names a model or a file: without the folders of the machine that it was made on.

    What bears the same name in every run, such as `predictions.json`, has its folder's name before it.
    """
    path = Path("" if name is None else name)
    if not path.exists():
        return str(name)
    place = path.resolve()
    return f"{place.parent.name}/{place.name}" if place.is_file() and place.parent.name else place.name


def listed(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """The mistakes of a sentence that are listed: all, or the most certain ones, in their order."""
    if len(mistakes) <= MOST_LISTED:
        return list(mistakes)
    by_score = sorted(range(len(mistakes)), key=lambda index: -(mistakes[index].score or 0.0))
    return [mistakes[index] for index in sorted(by_score[:MOST_LISTED])]


def proposals(inspected: Inspected, system: System) -> list[list[str | None]]:
    """What rules propose as a label for each listed mistake of each sentence."""
    joined = inspected.argument_types()
    return [
        [propose(mistake, gold, joined) for mistake in listed(mistakes)]
        for gold, mistakes in zip(inspected.gold, system.mistakes)
    ]


def record_of(reading: Reading) -> dict[str, Any]:
    """A reading as a record that `compute_scores` takes."""
    index = {entity: number for number, entity in enumerate(reading.entities)}
    return {
        "entities": [entity._asdict() for entity in reading.entities],
        "relations": [
            {"type": relation.type, "head": index[relation.head], "tail": index[relation.tail]}
            for relation in reading.relations
        ],
    }


def same_thing(mistake: Mistake) -> tuple[str, Entity | Relation | None, Entity | Relation | None]:
    """What tells whether two systems make the same mistake: what is missed, or else what is spurious."""
    return (mistake.task, mistake.gold, None if mistake.gold is not None else mistake.found)


def key_of(sentence: int, identifier: str, mistake: Mistake, system: int = 0) -> str:
    """The name of a mistake in saved labels: the same in every report on the same sentences and predictions.

    `page.js` makes the same ones.
    """
    sides = " | ".join("nothing" if thing is None else _place(thing) for thing in (mistake.gold, mistake.found))
    return f"{sentence} | {identifier} | {system} | {mistake.task} | {sides}"


def _place(thing: Entity | Relation) -> str:
    if isinstance(thing, Entity):
        return f"{thing.type} {thing.start}-{thing.end}"
    return f"{thing.type} ({_place(thing.head)}, {_place(thing.tail)})"
