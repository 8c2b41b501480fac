"""The paper's five classes of errors: labels that people set, and rules that propose one.

A proposal is where to begin to look, never a finding: whether an annotation is missing, or a relation follows from
what the sentence says, only a reader can tell.
"""

from collections.abc import Iterable, Mapping

from .mistakes import ENTITIES, Mistake, MistakeClass
from .readings import Entity, Reading, Relation

CERTAIN = 0.9
"""The least score of a made-up thing that may be an annotation that is missing."""

LABELS = {
    "incorrect_spans": MistakeClass(
        "incorrect spans", "Proposed where an entity has a wrong boundary, and where a relation was lost by that."
    ),
    "syntax": MistakeClass(
        "syntax",
        "Related by type, but not in this sentence. Proposed for relations made up between right entities whose types "
        "that relation joins elsewhere in the annotations, and for wrong directions.",
    ),
    "logical": MistakeClass(
        "logical",
        "Not said, but it follows. Proposed for missed relations whose head and tail are related to one third entity.",
    ),
    "classification": MistakeClass(
        "classification", "Proposed for wrong types of entities and relations, and for relations lost by that."
    ),
    "missing_annotation": MistakeClass(
        "missing annotation",
        f"Right, but not annotated. Proposed for what is made up with a score of at least {CERTAIN}.",
    ),
}

_BY_CLASS = {
    "wrong_boundary": "incorrect_spans",
    "wrong_both": "incorrect_spans",
    "lost_entity_boundary": "incorrect_spans",
    "lost_entity_both": "incorrect_spans",
    "wrong_type": "classification",
    "lost_entity_type": "classification",
    "wrong_direction": "syntax",
}

ArgumentTypes = Mapping[str, frozenset[tuple[str, str]]]
"""For each relation type the pairs of entity types that it joins."""


def argument_types(readings: Iterable[Reading]) -> ArgumentTypes:
    """The pairs of entity types (head, tail) that each relation type joins in annotations."""
    joined: dict[str, set[tuple[str, str]]] = {}
    for reading in readings:
        for relation in reading.relations:
            joined.setdefault(relation.type, set()).add((relation.head.type, relation.tail.type))
    return {kind: frozenset(pairs) for kind, pairs in joined.items()}


def propose(mistake: Mistake, gold: Reading, joined: ArgumentTypes) -> str | None:
    """The label that a rule proposes for a mistake, if one does.

    Args:
        gold: the annotations of the sentence.
        joined: what `argument_types` finds in all annotations.
    """
    if mistake.name in _BY_CLASS:
        return _BY_CLASS[mistake.name]
    if mistake.name == "made_up":
        if mistake.score is not None and mistake.score >= CERTAIN:
            return "missing_annotation"
        found = mistake.found
        if isinstance(found, Relation) and (found.head.type, found.tail.type) in joined.get(found.type, frozenset()):
            return "syntax"
    if mistake.name == "missed" and mistake.task != ENTITIES and isinstance(mistake.gold, Relation):
        head, tail = (_related(entity, gold) for entity in (mistake.gold.head, mistake.gold.tail))
        if head & tail:
            return "logical"
    return None


def _related(entity: Entity, gold: Reading) -> set[Entity]:
    """The entities that annotated relations join with this one."""
    return {relation.tail for relation in gold.relations if relation.head == entity} | {
        relation.head for relation in gold.relations if relation.tail == entity
    }
