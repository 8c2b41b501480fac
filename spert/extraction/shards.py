"""A folder of shards, and what is noted about each: its counts and digests, without which it does not count.

A shard is finished when its note is there, which is written last. Before shards are joined, and when a run goes on,
each is compared with its note.
"""

import dataclasses
import hashlib
import re
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, TypeAdapter
from pydantic.dataclasses import dataclass

from ..files import is_partial, read_json, remove, write_json
from ..locks import LOCK_FILES
from ..schemas import STRICT, read_checked
from .plan import PLAN

_OURS = re.compile(
    rf"part-\d{{5,}}\.(jsonl|lines|parquet)|errors-\d{{5,}}\.jsonl|done-\d{{5,}}\.json|worker-\d+\.lock"
    rf"|{re.escape(PLAN)}"
)
"""The names of all files that a run writes into a folder of shards until it is finished."""


@dataclass(frozen=True, config=STRICT)
class Note:
    """What is noted about a finished shard.

    Args:
        records: results in it.
        refused: entries of its range that were refused.
        sha256: of the shard.
        errors_sha256: of the file of those refused; `None` if none were.
        first_reason: of the first of them.
    """

    records: NonNegativeInt
    refused: NonNegativeInt
    sha256: str
    errors_sha256: str | None
    first_reason: str | None


_NOTE_SCHEMA = TypeAdapter(Note)


@dataclasses.dataclass(frozen=True)
class Shards:
    """The shards of a run.

    Args:
        folder: where they lie.
        ending: of their names.
        number: how many there will be.
    """

    folder: Path
    ending: str
    number: int

    def part(self, shard: int) -> Path:
        """The results of a shard."""
        return self.folder / f"part-{shard:05d}{self.ending}"

    def errors(self, shard: int) -> Path:
        """The refused entries of a shard."""
        return self.folder / f"errors-{shard:05d}.jsonl"

    def _note(self, shard: int) -> Path:
        return self.folder / f"done-{shard:05d}.json"

    def finish(self, shard: int, records: int, refused: int, first_reason: str | None) -> None:
        """Note that a shard is finished; its files are in place.

        Raises:
            FileNotFoundError: they are not.
        """
        errors = _sha256(self.errors(shard)) if refused else None
        note = Note(records, refused, _sha256(self.part(shard)), errors, first_reason)
        write_json(self._note(shard), dataclasses.asdict(note))

    def finished(self) -> list[int]:
        """The shards that have a note; see `check` for whether they are as it says."""
        return [shard for shard in range(self.number) if self._note(shard).is_file()]

    def missing(self) -> list[int]:
        """The shards that have none."""
        return [shard for shard in range(self.number) if not self._note(shard).is_file()]

    def check(self, shard: int, entries: int) -> Note | None:
        """What is noted about a shard, if the shard is as its note says, and about so many entries."""
        try:
            note = read_checked(self._note(shard), _NOTE_SCHEMA)
            is_whole = note.records + note.refused == entries and _sha256(self.part(shard)) == note.sha256
            if is_whole and note.refused:
                is_whole = _sha256(self.errors(shard)) == note.errors_sha256
        except (OSError, ValueError):
            return None
        return note if is_whole else None

    def discard(self, shard: int) -> None:
        """Remove a shard, so that it is made again."""
        for file in (self._note(shard), self.part(shard), self.errors(shard)):
            remove(file)

    def clear(self) -> None:
        """Remove all that a run wrote. The lock removes the folder, if nothing else is in it."""
        for file in self._files():
            remove(file)

    def keep_only_parts(self) -> None:
        """Remove all that a run wrote, but for the results."""
        for file in self._files():
            if not file.name.startswith("part-"):
                remove(file)

    def strangers(self) -> list[str]:
        """The names of what lies in the folder and is not of such a run."""
        if not self.folder.is_dir():
            return []
        ours = {file.name for file in self._files()}.union(LOCK_FILES)
        return sorted(file.name for file in self.folder.iterdir() if file.name not in ours)

    def _files(self) -> list[Path]:
        """All that runs wrote into the folder, in the order in which it may be removed: the plan, without which shards
        mean nothing, is the first.
        """
        if not self.folder.is_dir():
            return []
        files = [file for file in self.folder.iterdir() if _OURS.fullmatch(file.name) or is_partial(file)]
        return sorted(files, key=lambda file: file.name != PLAN)


def how_to_go_on(folder: Path) -> str:
    """What to do after a run was interrupted.

    Args:
        folder: its folder of shards.
    """
    finished = len(list(folder.glob("done-*.json"))) if (folder / PLAN).exists() else 0
    if not finished:
        return "No shard was finished, and nothing is left behind: run the same command again."
    return f"{finished} finished {'shard is' if finished == 1 else 'shards are'} kept: go on with --resume."


def read_record(path: Path) -> dict[str, Any] | None:
    """The record of a finished run; `None` if there is none, or none that can be read."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    is_record = isinstance(found, dict) and isinstance(found.get("plan"), dict) and isinstance(found.get("sizes"), dict)
    return found if is_record and isinstance(found.get("refused"), int) else None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
