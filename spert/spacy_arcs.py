"""Relations of a spaCy document as displaCy draws them."""

from collections.abc import Container
from typing import Any

from .spacy_component import USER_DATA, Doc, Relation, relations_of


def displacy_arcs(doc: Doc) -> list[dict[str, Any]]:
    """Relations as displaCy draws them: `displacy.render(displacy_arcs(doc), style="dep", manual=True)`.

    An arc leads from a token of the head to one of the tail, which no other related entity shares where that can be.
    Below each token stands the type of the smallest entity that it is in.

    Returns:
        A picture for each sentence with relations, in order; sentences that a relation joins are one picture.
    """
    relations = [relation for relation in relations_of(doc) if isinstance(relation, Relation)]
    related = {(span.start, span.end) for relation in relations for span in (relation.head, relation.tail)}
    of_groups = doc.user_data.get(USER_DATA, {})
    entities = sorted((span for group in of_groups for span in doc.spans.get(group, [])), key=len, reverse=True)
    label_of = {token: span.label_ for span in entities for token in range(span.start, span.end)}
    pictures = []
    for first, last in _joined_sentences(doc, relations):
        inside = [relation for relation in relations if first <= relation.head.start < last]
        if not inside:
            continue
        tokens = [token for token in range(first, last) if not doc[token].is_space]
        place = {token: index for index, token in enumerate(tokens)}
        arcs = []
        for relation in inside:
            head, tail = _anchors(relation, related, place)
            arcs.append(
                {
                    "start": place[min(head, tail)],
                    "end": place[max(head, tail)],
                    "label": relation.type,
                    "dir": "right" if head < tail else "left",
                }
            )
        words = [{"text": doc[token].text, "tag": label_of.get(token, "")} for token in tokens]
        pictures.append({"words": words, "arcs": arcs})
    return pictures


def _anchors(relation: Relation, related: set[tuple[int, int]], shown: Container[int]) -> tuple[int, int]:
    """A token of the head and another one of the tail, both out of those that are shown."""

    def crowd(token: int) -> int:
        return sum(start <= token < end for start, end in related)

    return min(
        (
            (head, tail)
            for head in range(relation.head.start, relation.head.end)
            for tail in range(relation.tail.start, relation.tail.end)
            if head != tail and head in shown and tail in shown
        ),
        key=lambda pair: (crowd(pair[0]) + crowd(pair[1]), pair),
    )


def _joined_sentences(doc: Doc, relations: list[Relation]) -> list[tuple[int, int]]:
    """The half-open token ranges of sentences; those between the two ends of a relation are one."""
    of_groups = doc.user_data.get(USER_DATA, {}).values()
    starts = sorted({0, *(start for group in of_groups for start in group["sentence_starts"])})
    for relation in relations:
        first = min(relation.head.start, relation.tail.start)
        last = max(relation.head.end, relation.tail.end) - 1
        starts = [start for start in starts if not first < start <= last]
    return [(start, end) for start, end in zip(starts, [*starts[1:], len(doc)]) if start < end]
