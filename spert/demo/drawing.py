"""A graph as a picture: inline SVG, laid out in columns from heads to tails.

The steps are those of layered drawing (Sugiyama): edges that would close a cycle are turned round, every node gets a
column, edges that pass a column get a place in it, places are sorted so that few edges cross, and edges are curves.
"""

import itertools
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from .graph import Edge, Graph
from .markup import escape, hue_of

MAX_EDGES = 60
"""More edges than this are no picture that one can read: those with the best scores are drawn."""

_LETTER = 7.6
_LABEL_LETTER = 6.6
_NODE_HEIGHT = 44
_PORT = 20
_MARGIN = 16
_GAP = 18
_MAX_LABEL = 30

Point = tuple[float, float]


@dataclass
class _Place:
    """A node, or where an edge passes a column."""

    column: int
    node: int | None
    width: float = 0.0
    height: float = 12.0
    x: float = 0.0
    y: float = 0.0
    rank: float = 0.0


@dataclass
class _Line:
    """The relations from one node to another, as one curve through places in rising columns.

    Args:
        places: where it goes through.
        is_turned: whether the head is at its end.
        label: names of the relations.
    """

    places: list[_Place]
    is_turned: bool
    label: str
    is_symmetric: bool
    title: str
    points: list[Point] = field(default_factory=list)


def standalone(picture: str, style: str) -> str:
    """The SVG of a picture as a file of its own, with the page's style in it; empty where there is none."""
    found = re.search(r"<svg.*</svg>", picture, re.DOTALL)
    return "" if found is None else found[0].replace("<defs>", f"<style>{style}</style><defs>", 1)


def draw(graph: Graph, types: Sequence[str], symmetric: Sequence[str] = ()) -> str:
    """The relations of a graph as SVG; nodes without a relation are left out.

    Where there are more than `MAX_EDGES` relations, a line below the picture says how many are drawn.

    Args:
        graph: nodes and edges.
        types: the entity types, whose order gives their colours.
        symmetric: relations that get no arrow.
    """
    edges = sorted(graph.edges, key=lambda edge: -edge.score)[:MAX_EDGES]
    if not edges:
        return '<p class="spert-summary">No relations.</p>'
    columns, lines, loops = _in_columns(graph, edges, symmetric)
    _sort(columns, lines)
    width, height = _arrange(columns, lines)
    _bend(lines)
    drawn = "".join(_draw_line(line) for line in lines)
    labels = "".join(_draw_label(line) for line in lines)
    nodes = "".join(
        _draw_node(place, graph, types, loops) for column in columns for place in column if place.node is not None
    )
    names = "; ".join(
        f"{graph.nodes[edge.head].label} {edge.type} {graph.nodes[edge.tail].label}"
        for edge in sorted(edges, key=lambda edge: (edge.head, edge.tail))
    )
    svg = (
        f'<svg class="spert-graph" role="img" xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'aria-label="{escape(names)}">'
        f'<defs><marker id="spert-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        f'orient="auto-start-reverse"><path d="M0 0L8 4L0 8Z" class="spert-arrow"/></marker></defs>'
        f"{drawn}{nodes}{labels}</svg>"
    )
    note = ""
    if len(graph.edges) > len(edges):
        note = (
            f'<p class="spert-summary">The picture shows the {len(edges)} relations with the best scores out of '
            f"{len(graph.edges):,}; the table and the files have all of them.</p>"
        )
    return f'<div class="spert-wide">{svg}</div>{note}'


def _in_columns(
    graph: Graph, edges: Sequence[Edge], symmetric: Sequence[str]
) -> tuple[list[list[_Place]], list[_Line], dict[int, str]]:
    """Places by column, the lines between them, and the labels of relations from a node to itself."""
    together: dict[tuple[int, int], list[Edge]] = {}
    loops: dict[int, str] = {}
    for edge in sorted(edges, key=lambda edge: (edge.head, edge.tail)):
        if edge.head == edge.tail:
            loops[edge.head] = ", ".join(filter(None, (loops.get(edge.head), edge.type)))
        else:
            together.setdefault((edge.head, edge.tail), []).append(edge)
    used = sorted({node for edge in edges for node in (edge.head, edge.tail)})
    turned = _closing_cycles(used, list(together))
    forward = [(tail, head) if (head, tail) in turned else (head, tail) for head, tail in together]
    column = dict.fromkeys(used, 0)
    for _ in used:  # the longest way to each node; there are no cycles left
        for first, last in forward:
            column[last] = max(column[last], column[first] + 1)
    for node in used:  # a node without a head stands right before its first tail
        after = [column[last] for first, last in forward if first == node]
        if after and not any(last == node for _, last in forward):
            column[node] = min(after) - 1
    places = {node: _node_place(graph, node, column[node]) for node in used}
    columns: list[list[_Place]] = [[] for _ in range(max(column.values()) + 1)]
    for node in used:
        columns[column[node]].append(places[node])
    lines = []
    for (head, tail), (first, last) in zip(together, forward):
        group = together[head, tail]
        between = [_Place(number, None) for number in range(column[first] + 1, column[last])]
        for place in between:
            columns[place.column].append(place)
        title = ", ".join(f"{edge.type} {edge.score:.2f}" for edge in group)
        line = _Line(
            [places[first], *between, places[last]],
            is_turned=(first, last) != (head, tail),
            label=", ".join(edge.type for edge in group),
            is_symmetric=all(edge.type in symmetric for edge in group),
            title=f"{graph.nodes[head].label} – {title} – {graph.nodes[tail].label}",
        )
        lines.append(line)
    return columns, lines, loops


def _closing_cycles(nodes: Sequence[int], pairs: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """The pairs that close a cycle when the graph is walked from its first node on."""
    after: dict[int, list[int]] = {node: [] for node in nodes}
    for head, tail in pairs:
        after[head].append(tail)
    tails = {tail for _, tail in pairs}
    closing: set[tuple[int, int]] = set()
    done: set[int] = set()
    for start in sorted(nodes, key=lambda node: (node in tails, node)):
        path: list[int] = []
        waiting = [(start, False)]
        while waiting:
            node, is_left = waiting.pop()
            if is_left:
                path.remove(node)
                done.add(node)
            elif node not in done and node not in path:
                path.append(node)
                waiting.append((node, True))
                closing |= {(node, tail) for tail in after[node] if tail in path}
                waiting += [(tail, False) for tail in reversed(after[node]) if tail not in path]
    return closing


def _sort(columns: list[list[_Place]], lines: Sequence[_Line]) -> None:
    """Sort the places of each column by where their neighbours are, to and fro."""
    before: dict[int, list[_Place]] = {}
    after: dict[int, list[_Place]] = {}
    for line in lines:
        for first, last in itertools.pairwise(line.places):
            after.setdefault(id(first), []).append(last)
            before.setdefault(id(last), []).append(first)
    for column in columns:
        for rank, place in enumerate(column):
            place.rank = rank
    for sweep in range(8):
        neighbours, ordered = (before, columns) if sweep % 2 == 0 else (after, columns[::-1])
        for column in ordered:
            means = {
                id(place): _mean([other.rank for other in neighbours.get(id(place), ())], place.rank)
                for place in column
            }
            column.sort(key=lambda place: (means[id(place)], place.rank))
            for rank, place in enumerate(column):
                place.rank = rank


def _arrange(columns: Sequence[Sequence[_Place]], lines: Sequence[_Line]) -> tuple[float, float]:
    """Give every place its coordinates (of its middle); width and height of the picture."""
    ports: dict[tuple[int, bool], int] = {}
    for line in lines:
        for place, is_right in ((line.places[0], True), (line.places[-1], False)):
            ports[id(place), is_right] = ports.get((id(place), is_right), 0) + 1
    for column in columns:
        for place in column:
            if place.node is not None:
                most = max(ports.get((id(place), side), 0) for side in (True, False))
                place.height = max(_NODE_HEIGHT, most * _PORT + 6)
    x = float(_MARGIN)
    for number, column in enumerate(columns):
        width = max(place.width for place in column)
        for place in column:
            place.x = x + width / 2
        labels = [_width(line.label, _LABEL_LETTER) for line in lines if line.places[0].column == number]
        x += width + max(72, 48 + max(labels, default=0))
    bottom = 0.0
    for part in _parts(columns, lines):
        _straighten(part, lines)
        top = min(place.y - place.height / 2 for column in part for place in column)
        for column in part:
            for place in column:
                place.y += bottom + _MARGIN - top
        bottom = max(place.y + place.height / 2 for column in part for place in column)
    right = max(place.x + place.width / 2 for place in columns[-1])
    return right + _MARGIN, bottom + _MARGIN


def _parts(columns: Sequence[Sequence[_Place]], lines: Sequence[_Line]) -> list[list[list[_Place]]]:
    """The columns of each part of the graph that no line joins to another, in the order of their first places."""
    part_of = {id(place): number for number, place in enumerate(place for column in columns for place in column)}
    for _ in lines:
        for line in lines:
            least = min(part_of[id(place)] for place in line.places)
            for place in line.places:
                part_of[id(place)] = least
    numbers = sorted(set(part_of.values()))
    return [[[place for place in column if part_of[id(place)] == number] for column in columns] for number in numbers]


def _straighten(columns: Sequence[Sequence[_Place]], lines: Sequence[_Line]) -> None:
    """Put each place as high as its neighbours in the column before, and in turn after, as far as there is room."""
    beside: dict[tuple[int, int], list[_Place]] = {}
    for line in lines:
        for first, last in itertools.pairwise(line.places):
            beside.setdefault((id(first), 1), []).append(last)
            beside.setdefault((id(last), -1), []).append(first)
    for sweep in range(6):
        side = 1 if sweep % 2 else -1
        for column in columns[::-side]:
            wanted = [_mean([other.y for other in beside.get((id(place), side), ())], place.y) for place in column]
            bottom = -math.inf
            for place, y in zip(column, wanted):
                place.y = max(y, bottom + _GAP + place.height / 2)
                bottom = place.y + place.height / 2
            shift = _mean([y - place.y for place, y in zip(column, wanted)], 0.0)
            for place in column:
                place.y += shift


def _bend(lines: Sequence[_Line]) -> None:
    """The points that each line goes through. Lines that meet at one side of a node end one below the other."""
    for line in lines:
        first, last = line.places[0], line.places[-1]
        line.points = [(first.x + first.width / 2, first.y)]
        line.points += [(place.x, place.y) for place in line.places[1:-1]]
        line.points.append((last.x - last.width / 2, last.y))
    for end, beside in ((0, 1), (-1, -2)):
        meeting: dict[int, list[_Line]] = {}
        for line in lines:
            meeting.setdefault(id(line.places[end]), []).append(line)
        for group in meeting.values():
            group.sort(key=lambda line: (line.places[beside].y, line.is_turned))
            for number, line in enumerate(group):
                x, y = line.points[end]
                line.points[end] = (x, y + (number - (len(group) - 1) / 2) * _PORT)


def _draw_line(line: _Line) -> str:
    (x, y), *rest = line.points
    path = f"M{x:.1f} {y:.1f}"
    for to_x, to_y in rest:
        middle = (x + to_x) / 2
        path += f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        x, y = to_x, to_y
    arrow = "" if line.is_symmetric else f' marker-{"start" if line.is_turned else "end"}="url(#spert-arrow)"'
    return f'<path class="spert-edge" d="{path}"{arrow}><title>{escape(line.title)}</title></path>'


def _draw_label(line: _Line) -> str:
    (x, y), (to_x, to_y) = line.points[:2]
    return (
        f'<text class="spert-label" x="{(x + to_x) / 2:.1f}" y="{(y + to_y) / 2 + 4:.1f}">{escape(line.label)}</text>'
    )


def _draw_node(place: _Place, graph: Graph, types: Sequence[str], loops: dict[int, str]) -> str:
    assert place.node is not None
    node = graph.nodes[place.node]
    number = f" × {len(node.mentions)}" if len(node.mentions) > 1 else ""
    loop = loops.get(place.node)
    below = f"{node.type}{number}" + (f" ⟲ {loop}" if loop else "")
    left, top = place.x - place.width / 2, place.y - place.height / 2
    return (
        f'<g class="spert-node" style="--hue:{hue_of(node.type, types)}"><title>{escape(node.label)}: '
        f"{escape(below)}, {node.score:.2f}</title>"
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" rx="9"/>'
        f'<text class="spert-name" x="{place.x:.1f}" y="{place.y - 3:.1f}">{escape(_shortened(node.label))}</text>'
        f'<text class="spert-type" x="{place.x:.1f}" y="{place.y + 13:.1f}">{escape(_shortened(below))}</text></g>'
    )


def _node_place(graph: Graph, node: int, column: int) -> _Place:
    about = graph.nodes[node]
    widest = max(_width(_shortened(about.label), _LETTER), _width(_shortened(about.type), _LABEL_LETTER) + 20)
    return _Place(column, node, width=max(72.0, widest + 24), height=_NODE_HEIGHT)


def _shortened(text: str) -> str:
    """A name as a node shows it; its title has all of it."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LABEL else f"{line[: _MAX_LABEL // 2]}…{line[-_MAX_LABEL // 2 + 1 :]}"


def _width(text: str, letter: float) -> float:
    """About how wide a text is. Letters of East Asia are wider than others, and combining marks have no width."""
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    marks = sum(unicodedata.combining(one) > 0 for one in text)
    return letter * (len(text) + 0.9 * wide - marks)


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
