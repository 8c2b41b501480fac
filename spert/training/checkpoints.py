"""Checkpoints: complete or absent, and checked for damage and for belonging to the run before they are loaded.

```
OUTPUT/checkpoints/step-00000120/   the files of `state.py`, progress.json, manifest.json
OUTPUT/checkpoints/best-00000100/   the weights of the best epoch so far; progress.json holds their digest
```

Nothing in a checkpoint is pickled, so that reading one never runs code.

A checkpoint is written under a staging name (`files.partial_path`) and renamed when it is complete. If it replaces one
of the same step, the old one is set aside under another staging name first, and is put back on the next start if the
process was killed before the new one was in its place.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from accelerate import Accelerator
from pydantic import ConfigDict, StringConstraints, TypeAdapter
from torch import nn

from ..files import partial_path, publish, remove, remove_partials, write_json
from ..schemas import STRICT, read_checked
from .progress import Progress
from .state import MODEL, TrainingState, load_weights, save_weights
from .together import on_each, on_main

FOLDER = "checkpoints"
LATEST = "latest"
_MANIFEST = "manifest.json"
_PROGRESS = "progress.json"
_NAME = re.compile(r"(step|best)-\d{8,}")
_NEW, _OLD, _GONE = "new", "old", "gone"  # tags of staging names; all processes of a run write into the same folder


@dataclass
class _Manifest:
    """What a checkpoint consists of.

    Args:
        identity: everything that decides the training.
        files: the name of each other file, with its SHA-256.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    identity: dict[str, Any]
    files: dict[str, Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]]


_MANIFEST_SCHEMA = TypeAdapter(_Manifest)


class Checkpoints:
    """The checkpoints of one run, written and read by all of its processes together.

    Args:
        accelerator: which process this is.
        state: weights, optimizer, schedule and random generators.
        output_dir: the run's folder, which all processes see.
        identity: everything that decides the training; a checkpoint with another identity is refused.
        limit: how many checkpoints are kept.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        state: TrainingState,
        output_dir: str | os.PathLike[str],
        identity: Mapping[str, Any],
        limit: int,
    ):
        self.accelerator = accelerator
        self.state = state
        self.folder = Path(output_dir) / FOLDER
        self.identity = dict(identity)
        self.limit = limit
        self._written: set[Path] = set()

    def save(self, progress: Progress) -> Path:
        """Write a checkpoint, and remove the oldest ones beyond the limit.

        Raises:
            OSError: it cannot be written; complete checkpoints are kept.
        """
        place = self.folder / f"step-{progress.step:08d}"
        if place in self._written:  # two reasons to save coincide
            return place
        staging = partial_path(place, _NEW)

        def complete() -> None:
            write_json(staging / _PROGRESS, progress.to_json())
            files = {file.name: _digest(file) for file in sorted(staging.iterdir())}
            write_json(staging / _MANIFEST, {"identity": self.identity, "files": files})
            _replace(staging, place)

        try:
            on_main(self.accelerator, lambda: _make_empty(staging))
            on_each(self.accelerator, lambda: self.state.save(staging))
            on_main(self.accelerator, complete)
        except OSError as error:
            raise self._clean_up(place, error) from error
        self._written.add(place)
        on_main(self.accelerator, lambda: self._remove_old(progress))
        return place

    def save_best(self, model: nn.Module, progress: Progress) -> None:
        """Keep the weights of `progress.best`, the epoch that has just ended, and note their digest in it.

        Raises:
            OSError: they cannot be written; complete checkpoints are kept.
        """
        assert progress.best is not None
        place = self._best(progress)
        staging = partial_path(place, _NEW)

        def write() -> str:
            _make_empty(staging)
            save_weights(model, staging / MODEL)
            digest = _digest(staging / MODEL)
            _replace(staging, place)
            self._prune_best(progress)
            return digest

        try:
            progress.best.digest = on_main(self.accelerator, write)
        except OSError as error:
            raise self._clean_up(place, error) from error

    def load_best(self, model: nn.Module, progress: Progress) -> None:
        """Load the weights of `progress.best`.

        Raises:
            ValueError: they are missing or damaged.
        """
        _refuse_damaged_best(self._best(progress), progress)
        load_weights(model, self._best(progress) / MODEL)

    def load(self, wanted: str) -> Progress | None:
        """Restore model, optimizer, schedule and random states.

        Everything is checked before anything is changed, the weights of the best epoch included.

        Args:
            wanted: a checkpoint's folder, or `latest`.

        Returns:
            Where the run stood; `None` if `latest` was wanted and there is no complete checkpoint.

        Raises:
            FileNotFoundError: the folder is not a checkpoint.
            ValueError: the checkpoint is damaged, or belongs to another run; the message says what differs.
        """
        place = self._find(wanted)
        if place is None:
            return None
        found: list[Progress] = []

        def load() -> None:
            manifest = read_checked(place / _MANIFEST, _MANIFEST_SCHEMA)
            self._refuse_foreign(place, manifest.identity)
            self._refuse_damaged(place, manifest.files)
            found.append(Progress.read(place / _PROGRESS))
            if found[0].best is not None and found[0].best.digest is not None:
                _refuse_damaged_best(place.parent / self._best(found[0]).name, found[0])
            self.state.load(place)

        on_each(self.accelerator, load)
        (progress,) = found
        on_main(self.accelerator, lambda: self._copy_best(place.parent, progress))
        return progress

    def latest(self) -> Path | None:
        """The checkpoint that was written last, if there is a complete one."""
        steps = self._steps()
        return steps[-1] if steps else None

    def _find(self, wanted: str) -> Path | None:
        if wanted == LATEST:
            return self.latest()
        if not (Path(wanted) / _MANIFEST).is_file():
            raise FileNotFoundError(
                f"--resume_from_checkpoint: expected `latest` or the folder of a complete checkpoint, such as "
                f"{self.folder / 'step-00000100'}, got {wanted}, which holds no {_MANIFEST}."
            )
        return Path(wanted)

    def _steps(self) -> list[Path]:
        """The complete checkpoints in the order of writing: a run may have been resumed at an earlier step."""
        places = complete_checkpoints(self.folder.parent)
        return sorted(places, key=lambda place: ((place / _MANIFEST).stat().st_mtime_ns, place.name))

    def _best(self, progress: Progress) -> Path:
        assert progress.best is not None
        return self.folder / f"best-{progress.best.step:08d}"

    def _copy_best(self, folder: Path, progress: Progress) -> None:
        """Copy the best weights that a checkpoint in another run's folder refers to, if that run kept any."""
        if progress.best is None or folder.resolve() == self.folder.resolve():
            return
        source = folder / self._best(progress).name
        if source.is_dir():
            staging = partial_path(self._best(progress), _NEW)
            _make_empty(staging)
            shutil.copytree(source, staging, dirs_exist_ok=True)
            _replace(staging, self._best(progress))

    def _remove_old(self, progress: Progress) -> None:
        for old in self._steps()[: -self.limit]:
            _discard(old)
        self._prune_best(progress)

    def _prune_best(self, progress: Progress) -> None:
        """Remove best weights that neither the run nor any of its checkpoints refers to."""
        try:
            known = [progress, *(Progress.read(step / _PROGRESS) for step in self._steps())]
        except (ValueError, OSError):  # a damaged checkpoint: it may refer to any of them
            return
        needed = {self._best(other) for other in known if other.best is not None}
        for place in _places(self.folder, "best"):
            if place not in needed:
                _discard(place)

    def _clean_up(self, place: Path, error: OSError) -> OSError:
        """Remove what was written before an error, and put back what was to be replaced; returns the error to raise."""
        remove(partial_path(place, _NEW))
        try:
            _restore(self.folder)
            latest = self.latest()
        except OSError:  # the folder is gone
            latest = None
        kept = (
            f"The last complete checkpoint is {latest}: resume from it with --resume_from_checkpoint latest."
            if latest
            else "There is no complete checkpoint."
        )
        return OSError(f"{place}: this checkpoint could not be written: {error.strerror or error}. {kept}")

    def _refuse_damaged(self, place: Path, files: Mapping[str, str]) -> None:
        expected = self.state.files | {_PROGRESS}
        if files.keys() != expected:
            raise ValueError(
                f"{place / _MANIFEST}, files: expected {', '.join(sorted(expected))}, got {', '.join(sorted(files))}. "
                f"Another version of this package may have written the checkpoint. {_REMEDY}"
            )
        for name, digest in files.items():
            _refuse_damaged_file(place / name, digest)

    def _refuse_foreign(self, place: Path, identity: Mapping[str, Any]) -> None:
        theirs, ours = _flat(identity), _flat(self.identity)
        differing = [
            f"{name}: {theirs.get(name, 'nothing')!r} in the checkpoint, {ours.get(name, 'nothing')!r} here"
            for name in sorted(theirs.keys() | ours.keys())
            if theirs.get(name) != ours.get(name)
        ]
        if differing:
            raise ValueError(
                f"{place}: a checkpoint of another run. It differs in {'; '.join(differing)}. Give the run the same "
                f"settings, or start from the beginning in another --output_dir."
            )


_REMEDY = "Name an older checkpoint with --resume_from_checkpoint, or remove this one."


def prepare_folder(output_dir: str | os.PathLike[str], resume: bool, overwrite: bool) -> None:
    """Make a folder ready for a run: put back what an interrupted replacement set aside, and remove partial files.

    Only files and folders that this project wrote are removed.

    Raises:
        FileExistsError: there are checkpoints, and the settings neither resume from them nor overwrite them.
    """
    folder = Path(output_dir) / FOLDER
    if folder.is_dir():
        _restore(folder)
        remove_partials(folder)
        checkpoints = _places(folder)
        if not resume and checkpoints:
            if not overwrite:
                raise FileExistsError(
                    f"{folder}: holds checkpoints of an unfinished run. Resume it with --resume_from_checkpoint "
                    f"latest, or start from the beginning with --overwrite_output_dir."
                )
            for place in checkpoints:
                _discard(place)
    if Path(output_dir).is_dir():
        remove_partials(output_dir)


def remove_checkpoints(output_dir: str | os.PathLike[str]) -> None:
    """Remove the checkpoints of a run that has finished: nothing resumes from them."""
    folder = Path(output_dir) / FOLDER
    if folder.is_dir():
        remove_partials(folder)
        for place in _places(folder):
            _discard(place)
        with suppress(OSError):  # something else is in it
            folder.rmdir()


def complete_checkpoints(output_dir: str | os.PathLike[str]) -> list[Path]:
    """The complete checkpoints of a run, by step."""
    return [place for place in _places(Path(output_dir) / FOLDER, "step") if (place / _MANIFEST).is_file()]


def _places(folder: Path, kind: str | None = None) -> list[Path]:
    """The checkpoints (`step`) and best weights (`best`) in a folder, and nothing that others put there."""
    return [
        place
        for place in sorted(folder.glob("*"))
        if place.is_dir() and (found := _NAME.fullmatch(place.name)) and kind in (None, found[1])
    ]


def _replace(staging: Path, place: Path) -> None:
    """Give a complete folder its name. A folder that has the name already is set aside until the new one has it."""
    old = partial_path(place, _OLD)
    if place.is_dir():
        remove(old)
        os.replace(place, old)
    publish(staging, place)
    remove(old)


def _discard(place: Path) -> None:
    """Remove a folder. A kill meanwhile leaves a staging name, and no folder that looks like a complete checkpoint."""
    gone = partial_path(place, _GONE)
    remove(gone)
    os.replace(place, gone)
    shutil.rmtree(gone)


def _restore(folder: Path) -> None:
    """Put back what `_replace` set aside, if the process was killed before the new folder was in its place."""
    suffix = partial_path(folder / "name", _OLD).name.removeprefix(".name")
    for old in folder.glob(f".*{suffix}"):
        place = folder / old.name.removeprefix(".").removesuffix(suffix)
        if not place.exists():
            os.replace(old, place)


def _make_empty(folder: Path) -> None:
    remove(folder)
    folder.mkdir(parents=True)


def _refuse_damaged_best(place: Path, progress: Progress) -> None:
    assert progress.best is not None
    if progress.best.digest is None:
        raise ValueError(f"{place}: the run's progress does not say which weights these are. {_REMEDY}")
    _refuse_damaged_file(place / MODEL, progress.best.digest)


def _refuse_damaged_file(file: Path, digest: str) -> None:
    if not file.is_file():
        raise ValueError(f"{file.parent}: damaged: {file.name} is missing. {_REMEDY}")
    found = _digest(file)
    if found != digest:
        raise ValueError(
            f"{file.parent}: damaged: expected {file.name} to have the SHA-256 {digest}, got {found}. {_REMEDY}"
        )


def _digest(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under names with dots. Lists are compared as a whole."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = list(value) if isinstance(value, tuple) else value
    return flat
