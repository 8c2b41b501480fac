"""Several people annotated one text: which of their annotations is gold, and how far they agree.

What two people marked is compared by characters, so that it does not matter how text becomes words.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from .documents import Document
from .reading import Facts, Reading
from .validation import shown


@dataclass(frozen=True)
class Annotated:
    """What one person said about a text.

    Args:
        names: what the person is called: an id, a name, an e-mail address; empty where the tool does not say.
        document: the text with the person's marks.
        created: when it was made, as text that sorts by time; empty where the tool does not say.
    """

    names: tuple[str, ...]
    document: Document
    created: str = ""


def settle(annotated: Sequence[Annotated], reading: Reading, where: str) -> Document | None:
    """The gold document of a text; `None` where `reading.annotator` did not annotate it.

    Every pair of annotations by different people goes to `reading.compared`.

    Args:
        annotated: what each person said; at least one.
        where: file and record, for errors.

    Raises:
        ValueError: there are several annotations, and `reading.agreement` is `refuse`.
    """
    for first, second in combinations(annotated, 2):
        if not set(first.names) & set(second.names):
            reading.compared.append((_facts(first.document), _facts(second.document)))
    if reading.annotator is not None:
        annotated = [one for one in annotated if reading.annotator in one.names]
        if not annotated:
            reading.leave_out(f"texts that {shown(reading.annotator)} did not annotate", where)
            return None
    if len(annotated) == 1:
        return annotated[0].document
    if reading.agreement == "refuse":
        people = ", ".join(one.names[0] if one.names else "somebody" for one in annotated)
        raise ValueError(
            f"{where}: expected one annotation, got {len(annotated)}, by {people}: decide which of them holds with "
            f"--annotator, or with --agreement first or majority."
        )
    reading.lost["texts with several annotations, settled by --agreement"] += 1
    if reading.agreement == "first":
        return min(annotated, key=lambda one: one.created).document  # the first of the file where they do not differ
    return _majority([one.document for one in annotated], reading)


def _facts(document: Document) -> Facts:
    return {
        "entities": [{"type": kind, "start": start, "end": end} for kind, start, end in document.entities],
        "relations": [{"type": kind, "head": head, "tail": tail} for kind, head, tail in document.relations],
    }


def _arrows(document: Document) -> list[tuple[str, tuple[str, int, int], tuple[str, int, int]]]:
    """The relations with their entities in place of their positions."""
    return [(kind, document.entities[head], document.entities[tail]) for kind, head, tail in document.relations]


def _majority(documents: Sequence[Document], reading: Reading) -> Document:
    """What more than half of the annotations hold, in the order of the first that holds it."""
    entities = Counter(entity for document in documents for entity in dict.fromkeys(document.entities))
    relations = Counter(arrow for document in documents for arrow in dict.fromkeys(_arrows(document)))
    kept = [entity for entity, votes in entities.items() if 2 * votes > len(documents)]
    index = {entity: number for number, entity in enumerate(kept)}
    kept_arrows = [
        (kind, index[head], index[tail])
        for (kind, head, tail), votes in relations.items()
        if 2 * votes > len(documents)
    ]
    reading.lost["entities without a majority, left out"] += len(entities) - len(kept)
    reading.lost["relations without a majority, left out"] += len(relations) - len(kept_arrows)
    first = documents[0]
    return Document(first.id, first.text, kept, kept_arrows, first.words)
