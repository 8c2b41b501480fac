"""JSON of a graph's parts as `json.dumps` writes it, without what a call of that costs: there are millions."""

import json.encoder
from typing import Any

from .elements import Edge, Mention, Node, Place

quoted = json.encoder.encode_basestring
"""A text as JSON, with its letters as they are."""


def texts_text(texts: dict[str, int]) -> str:
    """Texts and how often each was found.

    >>> texts_text({"Ada Park": 2, "ADA": 1})
    '{"Ada Park": 2, "ADA": 1}'
    """
    return "{" + ", ".join([f"{quoted(text)}: {count}" for text, count in texts.items()]) + "}"


def mention_text(mention: Mention) -> str:
    """`Mention.about` as JSON."""
    file, record, identifier, sentence, start, end = mention
    return f'{_record_text(file, record, identifier, sentence)}, "start": {start}, "end": {end}}}'


def place_text(place: Place) -> str:
    """`Place.about` as JSON."""
    file, record, identifier, sentence, head_start, head_end, tail_start, tail_end, score, _ = place
    scored = "" if score is None else f', "score": {score!r}'
    return (
        f'{_record_text(file, record, identifier, sentence)}, "head": [{head_start}, {head_end}], '
        f'"tail": [{tail_start}, {tail_end}]{scored}}}'
    )


def node_text(node: Node) -> str:
    """A node's key, as `id`, and its attributes."""
    return (
        f'{{"id": "{node.key}", "name": {quoted(node.name)}, "type": {quoted(node.type)}, '
        f'"normalized": {quoted(node.normalized)}, "texts": {texts_text(node.texts)}, "count": {node.count}'
        f'{_scores_text(node)}, "first": {mention_text(node.first)}}}'
    )


def edge_text(edge: Edge) -> str:
    """An edge's nodes, its key and attributes; its places and the end of the object are still to come."""
    return (
        f'{{"source": "{edge.head}", "target": "{edge.tail}", "key": "{edge.key}", '
        f'"relation": {quoted(edge.relation)}, "count": {edge.count}{_scores_text(edge)}'
    )


def flat(name: str, element: Node | Edge) -> Any:
    """An attribute for formats that hold numbers and text alone: `texts` and `first` become JSON.

    Returns:
        A number, a text, or `None` where the element does not have it.
    """
    value = getattr(element, name)
    if name == "texts":
        return texts_text(value)
    return mention_text(value) if name == "first" else value


def _record_text(file: str, record: int, identifier: str | None, sentence: int | None) -> str:
    start = f'{{"file": {quoted(file)}, "record": {record}'
    if identifier is not None:
        start += f', "id": {quoted(identifier)}'
    return start if sentence is None else f'{start}, "sentence": {sentence}'


def _scores_text(element: Node | Edge) -> str:
    return "" if element.score is None else f', "score": {element.score!r}, "best_score": {element.best_score!r}'
