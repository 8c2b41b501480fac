"""What was found as HTML: the text with its entities, tables, messages. Every letter of others is escaped here."""

import base64
import html
import itertools
from collections.abc import Sequence
from typing import Any

from .reading import Reading, UnreadableError

# Gradio reads a value as a template of JavaScript and Handlebars once more.
_ALSO_ESCAPED = str.maketrans({letter: f"&#{ord(letter)};" for letter in "{}$@`"})


def escape(text: object) -> str:
    """Any text within HTML, in or out of an attribute, shown letter by letter.

    >>> escape("<b> & ${x} {{y}}")
    '&lt;b&gt; &amp; &#36;&#123;x&#125; &#123;&#123;y&#125;&#125;'
    """
    return html.escape(str(text), quote=True).translate(_ALSO_ESCAPED)


def hue_of(type_name: str, types: Sequence[str]) -> int:
    """The hue of a type, in degrees; types that stand side by side get hues far apart."""
    place = list(types).index(type_name) if type_name in types else len(types)
    return round(210 + place * 137.508) % 360


def lanes_of(spans: Sequence[tuple[int, int]]) -> list[int]:
    """A lane for each span, so that spans that overlap are in different lanes; a span is above those that it holds.

    >>> lanes_of([(0, 3), (2, 3), (5, 6)])
    [1, 0, 0]
    """
    lanes = [0] * len(spans)
    placed: list[int] = []
    for index in sorted(range(len(spans)), key=lambda index: (spans[index][1] - spans[index][0], index)):
        start, end = spans[index]
        taken = [lanes[other] for other in placed if spans[other][0] < end and start < spans[other][1]]
        lanes[index] = max(taken, default=-1) + 1
        placed.append(index)
    return lanes


def highlighted(reading: Reading, types: Sequence[str]) -> str:
    """The text, with a line under each entity, stacked where entities overlap, and its type behind it."""
    result = reading.result
    text, entities = result["text"], result["entities"]
    spans = [(entity["start"], entity["end"]) for entity in entities]
    lanes = lanes_of(spans)
    notes = _notes(reading)
    borders = sorted({0, len(text), *notes, *(border for span in spans for border in span)})
    parts: list[str] = []
    for start, end in itertools.pairwise(borders):
        parts += notes.get(start, [])
        inside = [index for index, (first, last) in enumerate(spans) if first <= start and end <= last]
        parts.append(_segment(text[start:end], inside, entities, lanes, types))
        ending = sorted((index for index in inside if spans[index][1] == end), key=lambda index: lanes[index])
        parts += [_chip(index, entities[index], types) for index in ending]
    height = max(lanes, default=0)
    return f'<div class="spert-text" dir="auto" style="--lanes:{height + 1}">{"".join(parts)}</div>'


def summary(reading: Reading) -> str:
    """One line: how much was found."""
    result = reading.result
    counts = [
        _count(len(result["entities"]), "entity", "entities"),
        _count(len(result["relations"]), "relation", "relations"),
        _count(len(result.get("sentences", ())), "sentence", "sentences"),
    ]
    if "windows" in result:
        counts.append(f"read in {_count(result['windows'], 'window', 'windows')}")
    hint = "" if result["entities"] else " Lower the least scores, or allow more types, to see more."
    return f'<p class="spert-summary" role="status">{", ".join(counts)}.{hint}</p>'


def entity_table(reading: Reading, types: Sequence[str]) -> str:
    """Each entity, a row."""
    rows = [
        [
            escape(entity["text"]),
            _name(entity["type"], types),
            f"{entity['score']:.2f}",
            f"{entity['start']:,}–{entity['end']:,}",
            str(entity.get("sentence", 0) + 1),
        ]
        for entity in reading.result["entities"]
    ]
    return _table(["Entity", "Type", "Score", "Characters", "Sentence"], rows, "No entities.")


def relation_table(reading: Reading, types: Sequence[str]) -> str:
    """Each relation, a row."""
    entities = reading.result["entities"]
    rows = []
    for relation in reading.result["relations"]:
        head, tail = entities[relation["head"]], entities[relation["tail"]]
        rows.append(
            [
                f"{escape(head['text'])} {_name(head['type'], types)}",
                f"<b>{escape(relation['type'])}</b>",
                f"{escape(tail['text'])} {_name(tail['type'], types)}",
                f"{relation['score']:.2f}",
                str(head.get("sentence", 0) + 1),
            ]
        )
    return _table(["Head", "Relation", "Tail", "Score", "Sentence"], rows, "No relations.")


def sentence_table(reading: Reading) -> str:
    """Each sentence, a row, with the windows that read it."""
    result, words = reading.result, reading.result["words"]
    rows = []
    for number, (start, end) in enumerate(result.get("sentences", ())):
        inside = [index for index, (first, last) in enumerate(words) if start <= first and last <= end]
        first, last = (inside[0], inside[-1] + 1) if inside else (0, 0)
        windows = [
            f"{window + 1} (words {begin + 1}–{stop})"
            for window, (begin, stop) in enumerate(reading.windows)
            if begin < last and first < stop
        ]
        of_sentence = [entity for entity in result["entities"] if entity.get("sentence") == number]
        rows.append(
            [
                str(number + 1),
                f'<span class="spert-quote">{escape(result["text"][start:end])}</span>',
                str(len(inside)),
                ", ".join(windows) or "none",
                str(len(of_sentence)),
            ]
        )
    return _table(["", "Sentence", "Words", "Windows", "Entities"], rows, "No sentences.")


def message(error: UnreadableError) -> str:
    """Why there is nothing to see, for a person."""
    kind = "fault" if error.is_fault else "hint"
    role = "alert" if error.is_fault else "status"
    return (
        f'<div class="spert-message spert-{kind}" role="{role}"><b>{escape(error.title)}</b>'
        f"<span>{escape(error.advice)}</span></div>"
    )


def download(name: str, content: str, media_type: str, label: str) -> str:
    """A link that saves a file which the page itself holds: nothing a visitor typed is written on the server."""
    data = base64.b64encode(content.encode()).decode()
    return f'<a class="spert-download" download="{escape(name)}" href="data:{media_type};base64,{data}">{label}</a>'


def _notes(reading: Reading) -> dict[int, list[str]]:
    """What stands between the letters: the numbers of sentences, and where a window begins inside of one."""
    result = reading.result
    notes: dict[int, list[str]] = {}
    sentences = result.get("sentences", ())
    if len(sentences) > 1:
        for number, (start, _) in enumerate(sentences, start=1):
            notes.setdefault(start, []).append(f'<span class="spert-note" title="Sentence {number}">{number}</span>')
    if "windows" in result:
        starts = {start for start, _ in sentences}
        for number, (begin, end) in enumerate(reading.windows, start=1):
            if begin < len(result["words"]) and result["words"][begin][0] not in starts:
                title = f"Window {number} begins here: words {begin + 1} to {end}"
                mark = f'<span class="spert-note spert-window" title="{title}">window {number}</span>'
                notes.setdefault(result["words"][begin][0], []).append(mark)
    return notes


def _segment(
    text: str, inside: Sequence[int], entities: Sequence[dict[str, Any]], lanes: Sequence[int], types: Sequence[str]
) -> str:
    if not inside:
        return escape(text)
    by_lane = sorted(inside, key=lambda index: lanes[index])
    lines = []
    for index in by_lane:
        color = f"hsl({hue_of(entities[index]['type'], types)} 65% 48%)"
        lines.append(f"linear-gradient({color},{color}) 0 calc(100% - var(--lanes) * 5px + {5 * lanes[index] + 5}px)")
    images = ",".join(f"{line}/100% 3px no-repeat" for line in lines)
    hue = hue_of(entities[by_lane[0]]["type"], types)
    title = " · ".join(f"{entities[index]['text']}: {entities[index]['type']}" for index in by_lane)
    numbers = " ".join(map(str, inside))
    return (
        f'<mark class="spert-span" data-entities="{numbers}" title="{escape(title)}" '
        f'style="--hue:{hue};background-image:none;background:{images},hsl(var(--hue) 80% 60% / 0.16)">'
        f"{escape(text)}</mark>"
    )


def _chip(index: int, entity: dict[str, Any], types: Sequence[str]) -> str:
    hue = hue_of(entity["type"], types)
    return (
        f'<span class="spert-chip" data-entity="{index}" style="--hue:{hue}">{escape(entity["type"])} '
        f"<i>{entity['score']:.2f}</i></span>"
    )


def _name(type_name: str, types: Sequence[str]) -> str:
    return f'<span class="spert-chip" style="--hue:{hue_of(type_name, types)}">{escape(type_name)}</span>'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> str:
    """A table; its cells are HTML already."""
    if not rows:
        return f'<p class="spert-summary">{nothing}</p>'
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="spert-wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _count(number: int, singular: str, plural: str) -> str:
    return f"{number:,} {singular if number == 1 else plural}"
