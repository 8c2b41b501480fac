"""What counts as found: the options of decoding, with every check in one place.

The model's configuration holds them, and each call may override them: `DecodingOptions.of(config).override(...)`.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

OVERLAP_POLICIES = ("all", "nested", "none")

NO_ENTITY = "no_entity"
"""The name of the entity classifier's output 0."""

DECODING_FIELDS = (
    "relation_threshold",
    "entity_threshold",
    "relation_arguments",
    "overlapping_entities",
    "temperature",
)
"""The options that a call may override."""

_DEFAULT_THRESHOLDS = {"relation_threshold": 0.4, "entity_threshold": 0.0}
_DEFAULT_TEMPERATURE = {"entities": 1.0, "relations": 1.0}

Threshold = float | Mapping[str, float]


@dataclass(frozen=True)
class DecodingOptions:
    """How scores become entities and relations. The defaults are the paper's.

    ```python
    options = DecodingOptions(entity_types=["Person", "Place"], relation_types=["lives_in"])
    options.override(relation_threshold={"lives_in": 0.6}, overlapping_entities="none")
    ```

    Args:
        entity_types: names in the order of the classifier's outputs 1, 2, …; at least one.
        relation_types: names in the order of the classifier's outputs.
        symmetric_relations: those of `relation_types` whose direction has no meaning.
        relation_threshold: the least score of a relation, from 0 to 1, for all types or by type. A type that the
            mapping leaves out has the default, 0.4 (paper, section 4.1).
        entity_threshold: the least score of an entity, besides being the likeliest class, for all types or by type. A
            type that the mapping leaves out has the default, 0.
        relation_arguments: the pairs of entity types (head, tail) that a relation may join; other pairs are not found.
            A relation that the mapping leaves out may join any two types, one with an empty list none. For a symmetric
            relation each pair counts in both orders.
        overlapping_entities: which overlaps are left as they are: `all`, `nested` (one entity inside the other), or
            `none`. Where two entities must not overlap, the one with the better score stays.
        temperature: what the logits of entities and of relations are divided by before they become scores; a single
            number stands for both.

    Raises:
        ValueError: a value has the wrong form, is out of range or names an unknown type; the message lists the names.
    """

    entity_types: Sequence[str]
    relation_types: Sequence[str] = ()
    symmetric_relations: Sequence[str] = ()
    relation_threshold: Threshold = 0.4
    entity_threshold: Threshold = 0.0
    relation_arguments: Mapping[str, Sequence[Sequence[str]]] | None = None
    overlapping_entities: str = "all"
    temperature: Any = 1.0

    def __post_init__(self) -> None:
        entity_types = _checked_names("entity_types", self.entity_types)
        if not entity_types:
            raise ValueError("entity_types: expected at least one entity type, got none.")
        if NO_ENTITY in entity_types:
            raise ValueError(
                f"entity_types: expected names other than {NO_ENTITY!r}, which stands for the classifier's output 0 "
                f"(no entity). Rename the type."
            )
        relation_types = _checked_names("relation_types", self.relation_types)
        symmetric_relations = _checked_names("symmetric_relations", self.symmetric_relations)
        unknown = [name for name in symmetric_relations if name not in relation_types]
        if unknown:
            raise ValueError(
                f"symmetric_relations: expected names out of relation_types {list(relation_types)}, got {unknown}."
            )
        checked = {
            "entity_types": entity_types,
            "relation_types": relation_types,
            "symmetric_relations": symmetric_relations,
            "relation_threshold": _checked_threshold("relation_threshold", self.relation_threshold, relation_types),
            "entity_threshold": _checked_threshold("entity_threshold", self.entity_threshold, entity_types),
            "relation_arguments": _checked_arguments(self.relation_arguments, relation_types, entity_types),
            "overlapping_entities": checked_choice("overlapping_entities", self.overlapping_entities, OVERLAP_POLICIES),
            "temperature": _checked_temperature(self.temperature),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, config: Any) -> "DecodingOptions":
        """The options that a model's configuration holds."""
        return cls(**{name: getattr(config, name) for name in cls.__dataclass_fields__})

    def override(
        self,
        relation_threshold: Threshold | None = None,
        entity_threshold: Threshold | None = None,
        relation_arguments: Mapping[str, Sequence[Sequence[str]]] | None = None,
        overlapping_entities: str | None = None,
        temperature: Any = None,
    ) -> "DecodingOptions":
        """These options with some of them replaced; `None` keeps what there is.

        A threshold or a temperature by name replaces only what it names. `relation_arguments` are replaced as a whole:
        `{}` lets every relation join any two types.

        Raises:
            ValueError: as for the class.
        """
        changes = {
            "relation_threshold": _merged(self.thresholds("relation_threshold"), relation_threshold),
            "entity_threshold": _merged(self.thresholds("entity_threshold"), entity_threshold),
            "relation_arguments": relation_arguments,
            "overlapping_entities": overlapping_entities,
            "temperature": _merged(self.temperature, temperature),
        }
        changes = {name: value for name, value in changes.items() if value is not None}
        return replace(self, **changes) if changes else self

    def thresholds(self, field: str) -> dict[str, float]:
        """The threshold of each type, in the order of the types.

        Args:
            field: `relation_threshold` or `entity_threshold`.
        """
        types = self.relation_types if field == "relation_threshold" else self.entity_types
        threshold = getattr(self, field)
        if isinstance(threshold, Mapping):
            return {name: threshold.get(name, _DEFAULT_THRESHOLDS[field]) for name in types}
        return dict.fromkeys(types, threshold)


def type_key(name: str | None) -> int:
    """A number that stands for a type's name in tensors, the same everywhere; 0 for no type.

    Who makes a batch need not know a model's types, and a model knows the names of its own.
    """
    if name is None:
        return 0
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return max(1, int.from_bytes(digest, "little") >> 1)


def checked_choice(field: str, value: Any, choices: tuple[str, ...]) -> str:
    """The value, if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{field}: expected one of {', '.join(choices)}, got {value!r}.")
    return value


def checked_probability(field: str, value: Any) -> float:
    """The value as a float, if it is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise ValueError(f"{field}: expected a number from 0 to 1, got {value!r}.")
    return float(value)


def _merged(current: Mapping[str, float], change: Any) -> Any:
    """A change by name on top of what there is; anything else as it is."""
    return {**current, **change} if isinstance(change, Mapping) else change


def _checked_names(field: str, names: Any) -> tuple[str, ...]:
    if not isinstance(names, (list, tuple)):
        raise ValueError(f"{field}: expected a list of type names, got {names!r}.")
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"{field}: expected non-empty strings, got {name!r} among {list(names)!r}.")
    repeated = sorted(name for name, number in Counter(names).items() if number > 1)
    if repeated:
        raise ValueError(f"{field}: expected each name once, got {repeated} more than once.")
    return tuple(names)


def _checked_threshold(field: str, threshold: Any, types: tuple[str, ...]) -> Threshold:
    if not isinstance(threshold, Mapping):
        return checked_probability(field, threshold)
    _refuse_unknown(field, threshold, types)
    return {name: checked_probability(f"{field}[{name!r}]", value) for name, value in threshold.items()}


def _checked_arguments(
    arguments: Any, relation_types: tuple[str, ...], entity_types: tuple[str, ...]
) -> dict[str, list[list[str]]] | None:
    if arguments is None:
        return None
    field = "relation_arguments"
    if not isinstance(arguments, Mapping):
        raise ValueError(
            f"{field}: expected a mapping {{relation: [[head type, tail type], …]}} or None, got {arguments!r}."
        )
    _refuse_unknown(field, arguments, relation_types)
    checked: dict[str, list[list[str]]] = {}
    for relation, pairs in arguments.items():
        where = f"{field}[{relation!r}]"
        if not isinstance(pairs, (list, tuple)):
            raise ValueError(f"{where}: expected a list of pairs [head type, tail type], got {pairs!r}.")
        for pair in pairs:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise ValueError(f"{where}: expected pairs [head type, tail type], got {pair!r}.")
            _refuse_unknown(where, pair, entity_types)
        checked[relation] = [list(pair) for pair in pairs]
    return checked


def _checked_temperature(temperature: Any) -> dict[str, float]:
    if not isinstance(temperature, Mapping):
        temperature = dict.fromkeys(_DEFAULT_TEMPERATURE, temperature)
    _refuse_unknown("temperature", temperature, tuple(_DEFAULT_TEMPERATURE))
    for name, value in temperature.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
            raise ValueError(f"temperature[{name!r}]: expected a finite number above 0, got {value!r}.")
    return {name: float(temperature.get(name, default)) for name, default in _DEFAULT_TEMPERATURE.items()}


def _refuse_unknown(field: str, given: Any, known: tuple[str, ...]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"{field}: expected names out of {list(known)}, got {unknown[0]!r}.")
