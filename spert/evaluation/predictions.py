"""Predicted records in little memory: early in training, a model finds thousands of relations in a sentence."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload


@dataclass(frozen=True)
class _Packed:
    """A record; of each entity and relation, three numbers in a row: the type's index and two positions."""

    id: str
    tokens: list[str]
    entities: "array[int]"
    relations: "array[int]"


class Predictions(Sequence[dict[str, Any]]):
    """Records of SpERT JSON with an `id`. Read like a list; each dictionary is built when it is asked for.

    A relation takes 12 bytes here, about twenty times less than as a dictionary.

    Args:
        entity_types, relation_types: the names that may occur.
        records: the first records.
    """

    def __init__(
        self, entity_types: Sequence[str], relation_types: Sequence[str], records: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        self._entity_types = list(entity_types)
        self._relation_types = list(relation_types)
        self._entity_index = {name: index for index, name in enumerate(entity_types)}
        self._relation_index = {name: index for index, name in enumerate(relation_types)}
        self._records: list[_Packed] = []
        for record in records:
            self.append(record)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record at the end."""
        entities, relations = array("i"), array("i")
        for entity in record["entities"]:
            entities.extend((self._entity_index[entity["type"]], entity["start"], entity["end"]))
        for relation in record["relations"]:
            relations.extend((self._relation_index[relation["type"]], relation["head"], relation["tail"]))
        self._records.append(_Packed(record["id"], list(record["tokens"]), entities, relations))

    @classmethod
    def in_order(cls, parts: Sequence[tuple[Sequence[int], "Predictions"]]) -> "Predictions":
        """Join parts, each with the positions of its records; all parts have the same types."""
        first = parts[0][1]
        whole = cls(first._entity_types, first._relation_types)
        placed = sorted(
            ((place, packed) for places, part in parts for place, packed in zip(places, part._records, strict=True)),
            key=lambda pair: pair[0],
        )
        whole._records = [packed for _, packed in placed]
        return whole

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self._unpack(packed) for packed in self._records[index]]
        return self._unpack(self._records[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other))

    __hash__ = None  # type: ignore[assignment]  # equal by content, as lists are

    def _unpack(self, packed: _Packed) -> dict[str, Any]:
        entities, relations = iter(packed.entities), iter(packed.relations)
        return {
            "id": packed.id,
            "tokens": list(packed.tokens),
            "entities": [
                {"type": self._entity_types[index], "start": start, "end": end}
                for index, start, end in zip(entities, entities, entities)
            ],
            "relations": [
                {"type": self._relation_types[index], "head": head, "tail": tail}
                for index, head, tail in zip(relations, relations, relations)
            ],
        }
