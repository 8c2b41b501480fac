"""Results: what was found in a document's windows, merged and written as dictionaries that are ready for JSON.

`decoding_spert` comes before. Merging works on ranges of words and knows no text; writing adds the text.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from .decoding_spert import (
    DROPPED,
    CandidateEntities,
    DecodedPair,
    DecodedRelation,
    DecodedSentence,
    resolve_overlaps,
)
from .documents_spert import Document
from .options_spert import DecodingOptions
from .windows_spert import Window, deepest, holders

Link = TypeVar("Link", DecodedRelation, DecodedPair)


def merge_windows(
    windows: Sequence[Window],
    found: Sequence[DecodedSentence],
    options: DecodingOptions,
    given: Sequence[tuple[int, int]] | None = None,
) -> DecodedSentence:
    """What was found in a document, each entity and each relation once.

    An entity counts as the window sees it in which it lies deepest, that is, furthest from an inner edge: it is an
    entity if that window calls it one, with that window's type and scores. A relation counts as the deepest window sees
    it among those that see its head and its tail as they are in the result.

    Args:
        windows: with rising starts and ends.
        found: in each window, in the window's own words.
        options: what counts as found. Overlaps between entities of different windows are resolved as `decode` resolves
            those inside of one.
        given: the word ranges of the caller's entities, each of which lies in a window; their order is kept. Default:
            entities were found.

    Returns:
        Entities, relations and pairs in the document's words and in the order of `DecodedSentence`.
    """
    if len(windows) == 1:
        return found[0]
    moved = [
        [
            entity._replace(start=entity.start + window.start, end=entity.end + window.start)
            for entity in sentence.entities
        ]
        for window, sentence in zip(windows, found)
    ]
    chosen = {
        (entity.start, entity.end): entity
        for index, of_window in enumerate(moved)
        for entity in of_window
        if deepest(windows, index, entity.start, entity.end) == index
    }
    if given is None:
        entities = sorted(chosen.values(), key=lambda entity: entity[:3])
    else:
        entities = [chosen[span] for span in given]
    position = {entity[:3]: index for index, entity in enumerate(entities)}
    # For each window: its entities that are in the result with the same type, and where they stand there.
    agreed = [
        {index: position[entity[:3]] for index, entity in enumerate(of_window) if entity[:3] in position}
        for of_window in moved
    ]
    seen = [set(of_window.values()) for of_window in agreed]

    def decides(index: int, head: int, tail: int) -> bool:
        start = min(entities[head].start, entities[tail].start)
        end = max(entities[head].end, entities[tail].end)
        both = [other for other in holders(windows, index, start, end) if head in seen[other] and tail in seen[other]]
        return max(both, key=lambda other: windows[other].depth(start, end)) == index

    def merge(links_of: Callable[[DecodedSentence], Sequence[Link]]) -> list[Link]:
        merged: list[Link] = []
        for index, sentence in enumerate(found):
            for link in links_of(sentence):
                head, tail = agreed[index].get(link.head), agreed[index].get(link.tail)
                if head is not None and tail is not None and decides(index, head, tail):
                    merged.append(link._replace(head=head, tail=tail))
        return merged

    relations = sorted(merge(lambda sentence: sentence.relations), key=lambda relation: relation[:3])
    pairs = None
    if found[0].pairs is not None:
        pairs = sorted(merge(lambda sentence: sentence.pairs or ()), key=lambda pair: pair[:2])
    whole = DecodedSentence(entities, relations, pairs)
    if given is None and options.overlapping_entities != "all" and any(window.inner_start for window in windows):
        whole = _without_overlaps(whole, options)
    return whole


def document_result(document: Document, windows: Sequence[Window], found: DecodedSentence) -> dict[str, Any]:
    """The dictionary of a document, all of it JSON.

    Args:
        document: what was read.
        windows: that it was read in.
        found: in the document's words.
    """
    characters = document.sentence_characters
    text, words = document.text, document.words
    result: dict[str, Any] = {"text": text, "words": list(map(list, words))}
    if characters is not None:
        result["sentences"] = [list(sentence) for sentence in characters]
    sentences = document.sentences
    if sentences and (len(windows) != len(sentences) or [window[:2] for window in windows] != sentences):
        result["windows"] = len(windows)
    entities = []
    for word_start, word_end, type_name, score, scores in found.entities:
        start, end = words[word_start][0], words[word_end - 1][1]
        row: dict[str, Any] = {
            "type": type_name,
            "start": start,
            "end": end,
            "word_start": word_start,
            "word_end": word_end,
            "text": text[start:end],
            "score": score,
        }
        if characters is not None:
            row["sentence"] = document.sentence_of(word_start)
        if scores is not None:
            row["scores"] = scores
        entities.append(row)
    result["entities"] = entities
    result["relations"] = [
        {"type": type_name, "head": head, "tail": tail, "score": score}
        for head, tail, type_name, score in found.relations
    ]
    if found.pairs is not None:
        result["pairs"] = [pair._asdict() for pair in found.pairs]
    return result


def _without_overlaps(found: DecodedSentence, options: DecodingOptions) -> DecodedSentence:
    """Resolve the overlaps that are left between entities of different windows."""
    entities = found.entities
    groups: list[int] = []  # entities that touch no earlier one begin a new group, to be resolved by itself
    reached = 0
    for entity in entities:
        groups.append(groups[-1] + (entity.start >= reached) if groups else 0)
        reached = max(reached, entity.end)
    types = [options.entity_types.index(entity.type) for entity in entities]
    candidates = CandidateEntities(
        sentence=torch.tensor(groups, dtype=torch.long),
        spans=torch.tensor([entity[:2] for entity in entities], dtype=torch.long).reshape(-1, 2),
        types=torch.tensor(types, dtype=torch.long),
        scores=torch.tensor([entity.score for entity in entities], dtype=torch.float64),
        probabilities=torch.empty((len(entities), 0)),
        counts=torch.empty(0, dtype=torch.long),
        stays=torch.arange(len(entities)),
    )
    stays: list[int] = resolve_overlaps(candidates, options).stays.tolist()
    left = [index for index, stay in enumerate(stays) if stay == index]
    position = {index: place for place, index in enumerate(left)} | {DROPPED: DROPPED}
    relations: dict[tuple[int, int, str], DecodedRelation] = {}
    for relation in found.relations:
        head, tail = position[stays[relation.head]], position[stays[relation.tail]]
        if DROPPED in (head, tail) or head == tail:
            continue
        if relation.type in options.symmetric_relations and entities[left[tail]].start < entities[left[head]].start:
            head, tail = tail, head
        key = (head, tail, relation.type)
        if key not in relations or relations[key].score < relation.score:
            relations[key] = relation._replace(head=head, tail=tail)
    pairs = found.pairs
    if pairs is not None:
        pairs = [
            pair._replace(head=position[pair.head], tail=position[pair.tail])
            for pair in pairs
            if pair.head in position and pair.tail in position
        ]
    return DecodedSentence(
        [entities[index] for index in left], sorted(relations.values(), key=lambda relation: relation[:3]), pairs
    )
