"""The plan of a run of `spert predict`: all that decides its result, so that a run goes on only as it began."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files import read_json, write_json

PLAN = "plan.json"

_NAMES = ("model",)
"""Fields that name what other fields identify: a model may be moved between two sessions."""


@dataclass(frozen=True)
class Plan:
    """What decides the shards: a run is only continued by one with the same plan.

    Args:
        model: as it was named.
        model_files: the SHA-256 of each file that is loaded.
        input: as it was named.
        input_identity: changes when the input does.
        length: entries of the input.
        shard_size: entries of a shard.
        decoding: what counts as found, where it is not the model's own; see `DecodingOptions`.
        split, column, dtype, sentences, on_overflow, sentences_per_window, given_entities, all_scores: see
            `spert predict --help`.
    """

    model: str
    model_files: dict[str, str]
    input: str
    input_identity: str
    length: int
    shard_size: int
    split: str
    column: str | None
    dtype: str
    sentences: str | None
    on_overflow: str
    sentences_per_window: int | None
    given_entities: bool
    all_scores: bool
    decoding: dict[str, Any]

    @property
    def num_shards(self) -> int:
        """Shards in all; an empty input has one, which is empty."""
        return max(1, -(-self.length // self.shard_size))

    def range_of(self, shard: int) -> range:
        """The numbers of a shard's entries."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.length))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it, even if a path of it is not UTF-8."""
        return {name: printable(value) if isinstance(value, str) else value for name, value in asdict(self).items()}

    def differences(self, found: Any) -> list[str]:
        """What differs in another run's plan, each as a phrase; none if this run may continue that one.

        Args:
            found: what `to_dict` returned there.
        """
        if not isinstance(found, dict):
            return [f"the plan is {type(found).__name__}"]
        different = []
        for name, wanted in self.to_dict().items():
            there = found.get(name)
            if name in _NAMES or there == wanted:
                continue
            if name == "model_files" and isinstance(there, dict):
                files = sorted(file for file in {*there, *wanted} if there.get(file) != wanted.get(file))
                different.append(f"the model's {', '.join(files):.300} changed")
            else:
                different.append(f"{name} {there!r:.300} there, {wanted!r:.300} here")
        return different


def printable(name: str) -> str:
    """A path as text: what is not UTF-8 in it is escaped. The result does not depend on the locale."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def write_plan(folder: Path, plan: Plan) -> None:
    """Write a plan into a folder of shards."""
    write_json(folder / PLAN, plan.to_dict())


def read_plan(folder: Path) -> dict[str, Any] | None:
    """The plan in a folder of shards; `None` if there is none, or none that can be read."""
    try:
        found = read_json(folder / PLAN)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
