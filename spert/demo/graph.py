"""Entities and relations of a text as a graph: mentions of one type and one text are one node."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Node:
    """An entity: all mentions that have its type and, but for case and spacing, its text.

    Args:
        label: the text of the first mention.
        type: of the entity.
        score: the best of its mentions.
        mentions: half-open character ranges.
    """

    label: str
    type: str
    score: float
    mentions: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Edge:
    """A relation between two nodes: all that were found of its type.

    Args:
        head, tail: indices of nodes.
        type: of the relation.
        score: the best of those found.
        count: how many were found.
    """

    head: int
    tail: int
    type: str
    score: float
    count: int = 1


@dataclass(frozen=True)
class Graph:
    """Nodes and edges, in the order in which they were first found."""

    nodes: list[Node]
    edges: list[Edge]


def graph_of(result: Mapping[str, Any]) -> Graph:
    """The graph of a result."""
    nodes: dict[tuple[str, str], Node] = {}
    keys = []
    for entity in result["entities"]:
        key = (entity["type"], " ".join(entity["text"].split()).casefold())
        node = nodes.setdefault(key, Node(entity["text"], entity["type"], entity["score"]))
        node.score = max(node.score, entity["score"])
        node.mentions.append((entity["start"], entity["end"]))
        keys.append(key)
    place = {key: number for number, key in enumerate(nodes)}
    edges: dict[tuple[int, int, str], Edge] = {}
    for relation in result["relations"]:
        head, tail = place[keys[relation["head"]]], place[keys[relation["tail"]]]
        found = edges.get((head, tail, relation["type"]))
        if found is None:
            edges[head, tail, relation["type"]] = Edge(head, tail, relation["type"], relation["score"])
        else:
            found.score = max(found.score, relation["score"])
            found.count += 1
    return Graph(list(nodes.values()), list(edges.values()))


def node_link_json(graph: Graph) -> str:
    """The graph as node-link JSON, which `networkx.node_link_graph` reads."""
    nodes = [
        {
            "id": number,
            "label": node.label,
            "type": node.type,
            "score": node.score,
            "mentions": [list(mention) for mention in node.mentions],
        }
        for number, node in enumerate(graph.nodes)
    ]
    edges = [
        {
            "source": edge.head,
            "target": edge.tail,
            "key": edge.type,
            "type": edge.type,
            "score": edge.score,
            "count": edge.count,
        }
        for edge in graph.edges
    ]
    value = {"directed": True, "multigraph": True, "graph": {}, "nodes": nodes, "edges": edges}
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
