"""Checkpoints: complete or absent, and checked for damage and for belonging to the run before they are loaded.

```
OUTPUT/checkpoints/step-00000120/   model, optimizer, schedule, random states, progress.json, manifest.json
OUTPUT/checkpoints/best-00000100/   the weights of the best epoch so far
```

A checkpoint is written under a staging name (`files.partial_path`) and renamed when it is complete. If it replaces one
of the same step, the old one is set aside under another staging name first, and is put back on the next start if the
process was killed before the new one was in its place.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors.torch import load_model, save_model
from torch import nn

from ..files import partial_path, publish, read_json, remove, remove_partials, write_json
from .progress import Progress

FOLDER = "checkpoints"
LATEST = "latest"
_MANIFEST = "manifest.json"
_PROGRESS = "progress.json"
_BEST_WEIGHTS = "model.safetensors"
_NAME = re.compile(r"(step|best)-\d{8,}")
_NEW, _OLD = "new", "old"  # tags of staging names; all processes of a run write into the same folder


class Checkpoints:
    """The checkpoints of one run, written and read by all of its processes together.

    Args:
        accelerator: holds the prepared model and optimizer, and everything that is registered with it.
        output_dir: the run's folder, which all processes see.
        identity: everything that decides the training; a checkpoint with another identity is refused.
        limit: how many checkpoints are kept.
    """

    def __init__(
        self, accelerator: Accelerator, output_dir: str | os.PathLike[str], identity: Mapping[str, Any], limit: int
    ):
        self.accelerator = accelerator
        self.folder = Path(output_dir) / FOLDER
        self.identity = dict(identity)
        self.limit = limit
        self._written: set[Path] = set()

    def save(self, progress: Progress) -> Path:
        """Write a checkpoint, and remove the oldest ones beyond the limit."""
        place = self.folder / f"step-{progress.step:08d}"
        if place in self._written:  # two reasons to save coincide
            return place
        self._written.add(place)
        with self._staged(place) as staging:
            self.accelerator.save_state(str(staging))
            if self.accelerator.is_main_process:
                write_json(staging / _PROGRESS, progress.to_json())
        if self.accelerator.is_main_process:
            for old in self._steps()[: -self.limit]:
                shutil.rmtree(old)
            self._prune_best(progress)
        self.accelerator.wait_for_everyone()
        return place

    def save_best(self, model: nn.Module, progress: Progress) -> None:
        """Keep the weights of `progress.best`, the epoch that has just ended."""
        if self.accelerator.is_main_process:
            place = self._best(progress)
            staging = partial_path(place, _NEW)
            staging.mkdir(parents=True, exist_ok=True)
            save_model(model, str(staging / _BEST_WEIGHTS))
            _replace(staging, place)
            self._prune_best(progress)
        self.accelerator.wait_for_everyone()

    def load_best(self, model: nn.Module, progress: Progress) -> None:
        """Load the weights of `progress.best`."""
        load_model(model, str(self._best(progress) / _BEST_WEIGHTS))

    def load(self, wanted: str) -> Progress | None:
        """Restore model, optimizer, schedule and random states.

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
        manifest = read_json(place / _MANIFEST)
        if not isinstance(manifest, dict) or not {"files", "identity"} <= manifest.keys():
            raise ValueError(f"{place}: damaged: {_MANIFEST} lacks `files` or `identity`. {_REMEDY}")
        self._refuse_damaged(place, manifest["files"])
        self._refuse_foreign(place, manifest["identity"])
        self.accelerator.load_state(str(place))
        progress = Progress.from_json(read_json(place / _PROGRESS))
        if self.accelerator.is_main_process:
            self._copy_best(place.parent, progress)
        self.accelerator.wait_for_everyone()
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
        places = [place for place in _places(self.folder, "step") if (place / _MANIFEST).is_file()]
        return sorted(places, key=lambda place: ((place / _MANIFEST).stat().st_mtime_ns, place.name))

    def _best(self, progress: Progress) -> Path:
        assert progress.best is not None
        return self.folder / f"best-{progress.best.step:08d}"

    def _copy_best(self, folder: Path, progress: Progress) -> None:
        """Copy the best weights that a checkpoint in another run's folder refers to, if that run kept any."""
        if progress.best is None or self._best(progress).is_dir():
            return
        source = folder / self._best(progress).name
        if source.is_dir():
            staging = partial_path(self._best(progress), _NEW)
            shutil.copytree(source, staging, dirs_exist_ok=True)
            _replace(staging, self._best(progress))

    def _prune_best(self, progress: Progress) -> None:
        """Remove best weights that neither the run nor any of its checkpoints refers to."""
        known = [progress, *(Progress.from_json(read_json(step / _PROGRESS)) for step in self._steps())]
        needed = {self._best(other) for other in known if other.best is not None}
        for place in _places(self.folder, "best"):
            if place not in needed:
                shutil.rmtree(place)

    @contextmanager
    def _staged(self, place: Path) -> Iterator[Path]:
        """A folder for all processes to write into, which gets its name when all of them are done."""
        staging = partial_path(place, _NEW)
        if self.accelerator.is_main_process:
            remove(staging)
            staging.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        yield staging
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            files = {file.name: _digest(file) for file in sorted(staging.iterdir()) if file.is_file()}
            write_json(staging / _MANIFEST, {"identity": self.identity, "files": files})
            _replace(staging, place)
        self.accelerator.wait_for_everyone()

    def _refuse_damaged(self, place: Path, files: Mapping[str, str]) -> None:
        for name, digest in files.items():
            if not (place / name).is_file():
                raise ValueError(f"{place}: damaged: {name} is missing. {_REMEDY}")
            found = _digest(place / name)
            if found != digest:
                raise ValueError(
                    f"{place}: damaged: expected {name} to have the SHA-256 {digest}, got {found}. {_REMEDY}"
                )

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
                shutil.rmtree(place)
    if Path(output_dir).is_dir():
        remove_partials(output_dir)


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


def _restore(folder: Path) -> None:
    """Put back what `_replace` set aside, if the process was killed before the new folder was in its place."""
    suffix = partial_path(folder / "name", _OLD).name.removeprefix(".name")
    for old in folder.glob(f".*{suffix}"):
        place = folder / old.name.removeprefix(".").removesuffix(suffix)
        if not place.exists():
            os.replace(old, place)


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
