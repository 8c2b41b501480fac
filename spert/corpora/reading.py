"""How annotated files are read and written: the choices, and what was counted on the way."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .types import CorpusTypes, TypeName

UNITS = ("code-points", "utf-16", "graphemes")
"""What an offset may count: Unicode code points (as Python does), UTF-16 units (as JavaScript does), or graphemes."""

_CHOICES = {
    "align": ("strict", "expand"),
    "words": ("split", "whitespace"),
    "agreement": ("refuse", "first", "majority"),
    "discontinuous": ("refuse", "join"),
    "tags": ("bio", "iob1"),
    "on_error": ("stop", "skip"),
    "offsets": (None, *UNITS),
}

Facts = Mapping[str, Sequence[Mapping[str, Any]]]
"""`{"entities": [{type, start, end}], "relations": [{type, head, tail}]}`, whose spans count characters."""


@dataclass
class Scheme:
    """What an annotation project declares: its types, and which types a relation joins.

    Args:
        types: entity and relation types in their order, and which relations are symmetric.
        arguments: for each relation type, the pairs (head type, tail type) that it may join.
    """

    types: CorpusTypes
    arguments: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> "Scheme":
        """The types and arguments that records have, by name; no relation is symmetric: data alone does not tell."""
        entities: set[str] = set()
        arguments: dict[str, set[tuple[str, str]]] = {}
        for record in records:
            kinds = [entity["type"] for entity in record["entities"]]
            entities.update(kinds)
            for relation in record["relations"]:
                pair = (kinds[relation["head"]], kinds[relation["tail"]])
                arguments.setdefault(relation["type"], set()).add(pair)
        named, relations = ({name: TypeName(name, name) for name in sorted(found)} for found in (entities, arguments))
        return cls(CorpusTypes(named, relations), {name: sorted(arguments[name]) for name in sorted(arguments)})

    @classmethod
    def merged(cls, schemes: Sequence["Scheme"]) -> "Scheme":
        """What several projects declare, together."""
        entities: dict[str, TypeName] = {}
        relations: dict[str, TypeName] = {}
        symmetric: dict[str, None] = {}
        arguments: dict[str, dict[tuple[str, str], None]] = {}
        for scheme in schemes:
            entities |= scheme.types.entities
            relations |= scheme.types.relations
            symmetric |= dict.fromkeys(scheme.types.symmetric_relations)
            for name, pairs in scheme.arguments.items():
                arguments.setdefault(name, {}).update(dict.fromkeys(pairs))
        types = CorpusTypes(entities, relations, tuple(symmetric))
        return cls(types, {name: list(pairs) for name, pairs in arguments.items()})


@dataclass(frozen=True)
class Reading:
    """How annotated text becomes records.

    Args:
        align: what happens to an entity that cuts through a word: `strict` refuses it, `expand` widens and counts it.
        words: how words are found where the format does not know them: `split` as for raw text, `whitespace` at white
            space, which gives back the words that a conversion joined.
        split_sentences: make each sentence (`sentences_spert.split_sentences`) a record of its own. Relations between
            sentences are counted and left out. A sentence does not end inside an entity.
        text_field: the field of the text (Label Studio).
        from_name, to_name: read only what was marked with this control, on this object (Label Studio).
        annotator: read only what this person annotated: an id, a name or an e-mail address.
        agreement: what is gold where several people annotated one text: `refuse`, the `first` annotation, or what the
            `majority` marked.
        predictions: read predictions where nobody annotated. Default: they are left out.
        discontinuous: spans in several pieces (brat): `refuse`, or `join` from the first to the last character.
        tags: the scheme of columns: `bio` (also BILOU and IOBES) or `iob1`.
        spans: which entities of a spaCy document: the name of a span group, or `ents`. Default: the group `entities`,
            else the group `sc`, else `ents`.
        offsets: what offsets count, one of `UNITS`. Default: what the tool counts.
        on_error: a faulty item ends the reading (`stop`), or is noted and left out (`skip`).
        lost: what was counted, by what it is: all that is not read, or read otherwise than it stands there. It is
            filled while reading, as are the next ones.
        left_out: the places of texts and marks that were left out on purpose, by the reason.
        faults: the messages of faulty items, with `on_error="skip"`.
        compared: pairs of annotations of one text by two people.
        schemes: what annotation projects declare.
    """

    align: str = "strict"
    words: str = "split"
    split_sentences: bool = False
    text_field: str = "text"
    from_name: str | None = None
    to_name: str | None = None
    annotator: str | None = None
    agreement: str = "refuse"
    predictions: bool = False
    discontinuous: str = "refuse"
    tags: str = "bio"
    spans: str | None = None
    offsets: str | None = None
    on_error: str = "stop"
    lost: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    compared: list[tuple[Facts, Facts]] = field(default_factory=list)
    schemes: list[Scheme] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse unknown choices."""
        _check_choices(self, _CHOICES)

    def leave_out(self, what: str, where: str) -> None:
        """Note that something was left out on purpose.

        Args:
            what: the reason, in the plural: it is printed behind a number.
            where: file and record.
        """
        self.left_out.setdefault(what, []).append(where)

    def attempt(self, make: "Make") -> list[dict[str, Any]] | None:
        """The records of an item; `None` where it is faulty and `on_error` is `skip`.

        What a faulty item counted does not count.

        Raises:
            ValueError, FileNotFoundError: the item is faulty, and `on_error` is `stop`.
        """
        trial = replace(self, lost=Counter(), left_out={}, compared=[])
        try:
            made = make(trial)
        except (ValueError, FileNotFoundError) as error:
            if self.on_error == "stop":
                raise
            self.faults.append(str(error))
            return None
        self.lost.update(trial.lost)
        for what, places in trial.left_out.items():
            self.left_out.setdefault(what, []).extend(places)
        self.compared.extend(trial.compared)
        return made


Make = Callable[[Reading], list[dict[str, Any]]]
"""Gives the records of an item (a line, a task, a document), and counts in the `Reading` what it does not read."""

Item = tuple[str, Make]
"""An item of a file: its place, for errors, and what makes its records."""


@dataclass(frozen=True)
class Writing:
    """How records become a file of a tool.

    Args:
        text_field: the field of the text (Label Studio).
        from_name, to_name: the names of the labelling control and of its object (Label Studio).
        annotations: write what a person said, in place of predictions (Label Studio, Prodigy).
        offsets: what offsets count, one of `UNITS`. Default: what the tool counts.
        lost: what the format does not hold, by what it is. It is filled while writing.
    """

    text_field: str = "text"
    from_name: str = "label"
    to_name: str = "text"
    annotations: bool = False
    offsets: str | None = None
    lost: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Refuse unknown choices."""
        _check_choices(self, {"offsets": _CHOICES["offsets"]})


def _check_choices(options: Reading | Writing, choices: Mapping[str, Sequence[str | None]]) -> None:
    for name, allowed in choices.items():
        value = getattr(options, name)
        if value not in allowed:
            flag = name.replace("_", "-")
            if name == "offsets":
                flag = "from-offsets" if isinstance(options, Reading) else "to-offsets"
            listed = ", ".join(choice for choice in allowed if choice is not None)
            raise ValueError(f"--{flag}: expected one of {listed}, got {value!r}.")
