"""The report as data: `report.json`, and the sentences as the page reads them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..evaluation.scores import compute_scores
from .breakdowns import Seen, breakdowns, confusion, reliability, reliability_rows
from .inspected import Inspected, System, key_of, listed, proposals, record_of, same_thing
from .ladder import climb
from .mistakes import CLASSES, ENTITIES, RELATIONS, Mistake, count_classes, flat
from .proposals import LABELS
from .readings import Entity, Relation

FORMAT = "spert inspection"
TASKS = (ENTITIES, RELATIONS)


def report_of(inspected: Inspected, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """All numbers and all listed mistakes, ready for JSON.

    Args:
        labels: what people set, by the keys of mistakes.
    """
    seen = Seen.of(inspected.training) if inspected.training is not None else None
    return {
        "format": FORMAT,
        "title": inspected.title,
        "about": dict(inspected.about),
        "sentences": len(inspected.ids),
        "classes": {
            task: {name: {"title": one.title, "rule": one.rule} for name, one in classes.items()}
            for task, classes in CLASSES.items()
        },
        "systems": [
            _system(inspected, number, system, seen, labels or {}) for number, system in enumerate(inspected.systems)
        ],
    }


def page_data(inspected: Inspected) -> dict[str, Any]:
    """The sentences with what is annotated, found and wrong, as lists of numbers; `page.js` says which is which."""
    entity_types, relation_types = inspected.types()
    return {
        "entityTypes": entity_types,
        "relationTypes": relation_types,
        "classes": [[task, name, one.title] for task, classes in CLASSES.items() for name, one in classes.items()],
        "labels": [[name, one.title] for name, one in LABELS.items()],
        "systems": [system.name for system in inspected.systems],
        "sentences": _sentences(inspected, entity_types, relation_types),
    }


def _system(
    inspected: Inspected, number: int, system: System, seen: Seen | None, labels: Mapping[str, str]
) -> dict[str, Any]:
    sentences = list(zip(inspected.gold, system.readings))
    proposed = proposals(inspected, system)
    rows = []
    for index, (identifier, of_sentence, of_rules) in enumerate(zip(inspected.ids, system.mistakes, proposed)):
        for mistake, proposal in zip(listed(of_sentence), of_rules):
            key = key_of(index, identifier, mistake, number)
            rows.append(
                {
                    "mistake": key,
                    "sentence": index,
                    "id": identifier,
                    "task": mistake.task,
                    "class": mistake.name,
                    "gold": _thing(mistake.gold, inspected.tokens[index]),
                    "found": _thing(mistake.found, inspected.tokens[index]),
                    "score": mistake.score,
                    "proposal": proposal,
                    "label": labels.get(key),
                }
            )
    calibration = {task: reliability(task, sentences) for task in TASKS}
    given = None
    if system.given is not None:
        given = _scores(inspected, system.given)["rel_strict_micro_f1"]
    return {
        "name": system.name,
        "scores": _scores(inspected, system.readings),
        "rel_strict_f1_on_given_entities": given,
        "classes": count_classes(flat(system.mistakes)),
        "oracle_ladder": climb(sentences, inspected.symmetric_relations, system.threshold),
        "threshold": system.threshold,
        "confusion": {task: confusion(task, sentences, system.mistakes) for task in TASKS},
        "breakdowns": breakdowns(inspected.tokens, sentences, seen),
        "calibration": {task: reliability_rows(bins) if bins else None for task, bins in calibration.items()},
        "proposed": _count_labels(row["proposal"] for row in rows),
        "labelled": _count_labels(row["label"] for row in rows),
        "mistakes": rows,
        "mistakes_not_listed": sum(len(of) - len(listed(of)) for of in system.mistakes),
    }


def _scores(inspected: Inspected, readings: Sequence[Any]) -> dict[str, Any]:
    return compute_scores(
        [record_of(reading) for reading in inspected.gold],
        [record_of(reading) for reading in readings],
        symmetric_relations=inspected.symmetric_relations,
    )


def _count_labels(labels: Any) -> dict[str, int]:
    counts = Counter(labels)
    return {name: counts[name] for name in LABELS}


def _thing(thing: Entity | Relation | None, tokens: Sequence[str]) -> dict[str, Any] | None:
    if thing is None:
        return None
    if isinstance(thing, Entity):
        return thing._asdict() | {"text": " ".join(tokens[thing.start : thing.end])}
    return {"type": thing.type, "head": _thing(thing.head, tokens), "tail": _thing(thing.tail, tokens)}


def _sentences(inspected: Inspected, entity_types: list[str], relation_types: list[str]) -> list[dict[str, Any]]:
    entity_type = {name: index for index, name in enumerate(entity_types)}
    relation_type = {name: index for index, name in enumerate(relation_types)}
    classes = {
        (task, name): index
        for index, (task, name) in enumerate((task, name) for task, each in CLASSES.items() for name in each)
    }
    label = {name: index for index, name in enumerate(LABELS)}
    proposed = [proposals(inspected, system) for system in inspected.systems]
    rows = []
    for number, (identifier, tokens, gold) in enumerate(zip(inspected.ids, inspected.tokens, inspected.gold)):
        entities: dict[Entity, int] = {}
        relations: dict[Relation, int] = {}

        def index_of(thing: Entity | Relation, entities=entities, relations=relations) -> int:  # type: ignore[no-untyped-def]
            if isinstance(thing, Entity):
                return entities.setdefault(thing, len(entities))
            index_of(thing.head), index_of(thing.tail)
            return relations.setdefault(thing, len(relations))

        annotated = [[index_of(thing) for thing in getattr(gold, task)] for task in TASKS]
        found, mistakes = [], []
        equal = [{_sides(one) for one in listed(system.mistakes[number])} for system in inspected.systems]
        elsewhere = [{same_thing(one) for one in system.mistakes[number]} for system in inspected.systems]
        for place, system in enumerate(inspected.systems):
            of_sentence = listed(system.mistakes[number])
            shown = {one.found for one in of_sentence if one.found is not None}
            shown |= {side for one in shown if isinstance(one, Relation) for side in one[1:]}
            found.append(
                [
                    [
                        [index_of(thing), _rounded(score)]
                        for thing, score in getattr(system.readings[number], task).items()
                        if thing in shown or thing in getattr(gold, task)
                    ]
                    for task in TASKS
                ]
            )
            for mistake, proposal in zip(of_sentence, proposed[place][number]):
                is_shared = len(elsewhere) > 1 and same_thing(mistake) in elsewhere[1 - place]
                is_equal = is_shared and _sides(mistake) in equal[1 - place]
                if is_equal and place == 1:  # the first has it
                    continue
                mistakes.append(
                    [
                        place,
                        classes[mistake.task, mistake.name],
                        -1 if mistake.gold is None else index_of(mistake.gold),
                        -1 if mistake.found is None else index_of(mistake.found),
                        _rounded(mistake.score),
                        -1 if proposal is None else label[proposal],
                        2 if is_equal else int(is_shared),
                    ]
                )
        rows.append(
            {
                "id": identifier,
                "t": tokens,
                "e": [[entity.start, entity.end, entity_type[entity.type]] for entity in entities],
                "r": [
                    [relation_type[relation.type], entities[relation.head], entities[relation.tail]]
                    for relation in relations
                ],
                "g": annotated,
                "s": found,
                "m": mistakes,
                "u": sum(
                    len(system.mistakes[number]) - len(listed(system.mistakes[number])) for system in inspected.systems
                ),
            }
        )
    return rows


def _sides(mistake: Mistake) -> tuple[Any, ...]:
    """All that tells a mistake from others of its sentence, but for its score."""
    return (mistake.task, mistake.name, mistake.gold, mistake.found)


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 4)


def most_certain(report_of_system: Mapping[str, Any], number: int = 15) -> tuple[list[Any], list[Any]]:
    """Candidates for wrong annotation: what is spurious with the best scores, and what is missed with the worst.

    Args:
        report_of_system: of the `systems` of a report.
        number: of each.
    """
    scored = [row for row in report_of_system["mistakes"] if row["score"] is not None]
    spurious = sorted((row for row in scored if row["found"] is not None), key=lambda row: -row["score"])
    missed = sorted((row for row in scored if row["found"] is None), key=lambda row: row["score"])
    return spurious[:number], missed[:number]


def count_shared(inspected: Inspected) -> list[dict[str, Any]]:
    """For two systems and each class: the mistakes of the first only, of the second only, and of both.

    Two systems share a mistake if they miss the same thing, or make up the same. It counts in the class that it has in
    the first system; mistakes that only the second makes, in the class that they have there.
    """
    counts = {(task, name): [0, 0, 0] for task, classes in CLASSES.items() for name in classes}
    for first, second in zip(*(system.mistakes for system in inspected.systems)):
        for place, (own, other) in enumerate(((first, second), (second, first))):
            others = {same_thing(mistake) for mistake in other}
            for mistake in own:
                if same_thing(mistake) not in others:
                    counts[mistake.task, mistake.name][place] += 1
                elif place == 0:
                    counts[mistake.task, mistake.name][2] += 1
    return [
        {"task": task, "class": name, "only_first": numbers[0], "only_second": numbers[1], "both": numbers[2]}
        for (task, name), numbers in counts.items()
    ]
