"""Checkpoints: whole or not there, known to be undamaged and of this run before they are loaded.

```
OUTPUT/checkpoints/step-00000120/   model, optimizer, schedule, random states, progress.json, manifest.json
OUTPUT/checkpoints/best-00000100/   the weights of the best epoch so far
```

A checkpoint is written under a name that begins with a dot and renamed when it is whole.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors.torch import load_model, save_model
from torch import nn

from ..files import partial_path, read_json, remove_partials, write_json
from .progress import Progress

FOLDER = "checkpoints"
LATEST = "latest"
_MANIFEST = "manifest.json"
_PROGRESS = "progress.json"
_BEST_WEIGHTS = "model.safetensors"


class Checkpoints:
    """The checkpoints of one run, written and read by all of its processes together.

    Args:
        accelerator: holds the prepared model and optimizer, and everything that is registered with it.
        output_dir: the run's folder, which all processes see.
        identity: everything that decides the training; a checkpoint with another is refused.
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
        """Write a checkpoint, and remove the oldest beyond the limit."""
        place = self.folder / f"step-{progress.step:08d}"
        if place in self._written:  # two reasons to save fell together
            return place
        self._written.add(place)
        with self._whole(place) as staging:
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
            staging = _staging(place)
            staging.mkdir(parents=True, exist_ok=True)
            save_model(model, str(staging / _BEST_WEIGHTS))
            _publish(staging, place)
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
            Where the run stood; `None` for `latest` where no whole checkpoint is.

        Raises:
            FileNotFoundError: the folder is no checkpoint.
            ValueError: the checkpoint is damaged, or of another run; the message says what differs.
        """
        place = self._find(wanted)
        if place is None:
            return None
        manifest = read_json(place / _MANIFEST)
        if not isinstance(manifest, dict) or not {"files", "identity"} <= manifest.keys():
            raise ValueError(f"{place}: damaged: {_MANIFEST} is not what was written. {_REMEDY}")
        self._refuse_damaged(place, manifest["files"])
        self._refuse_foreign(place, manifest["identity"])
        self.accelerator.load_state(str(place))
        progress = Progress.from_json(read_json(place / _PROGRESS))
        if self.accelerator.is_main_process:
            self._bring_best(place.parent, progress)
        self.accelerator.wait_for_everyone()
        return progress

    def _find(self, wanted: str) -> Path | None:
        if wanted == LATEST:
            steps = self._steps()
            return steps[-1] if steps else None
        if not (Path(wanted) / _MANIFEST).is_file():
            raise FileNotFoundError(
                f"--resume_from_checkpoint: expected `latest` or a whole checkpoint's folder, such as "
                f"{self.folder / 'step-00000100'}, got {wanted}, which holds no {_MANIFEST}."
            )
        return Path(wanted)

    def _steps(self) -> list[Path]:
        """The whole checkpoints in the order of writing, which who goes back to an earlier step expects."""
        manifests = sorted(self.folder.glob(f"step-*/{_MANIFEST}"), key=lambda path: path.stat().st_mtime_ns)
        return [manifest.parent for manifest in manifests]

    def _best(self, progress: Progress) -> Path:
        assert progress.best is not None
        return self.folder / f"best-{progress.best.step:08d}"

    def _bring_best(self, folder: Path, progress: Progress) -> None:
        """Of a checkpoint in another run's folder, its best weights come along; a run that keeps none has none."""
        if progress.best is None or self._best(progress).is_dir():
            return
        source = folder / self._best(progress).name
        if source.is_dir():
            staging = _staging(self._best(progress))
            shutil.copytree(source, staging, dirs_exist_ok=True)
            _publish(staging, self._best(progress))

    def _prune_best(self, progress: Progress) -> None:
        """Remove best weights that neither the run nor a checkpoint that it may go back to knows as best."""
        known = [progress, *(Progress.from_json(read_json(step / _PROGRESS)) for step in self._steps())]
        needed = {self._best(one) for one in known if one.best is not None}
        for place in self.folder.glob("best-*"):
            if place not in needed:
                shutil.rmtree(place)

    @contextmanager
    def _whole(self, place: Path) -> Iterator[Path]:
        """A folder for all processes to write into, which appears under its name when all of them are done."""
        staging = _staging(place)
        if self.accelerator.is_main_process:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        yield staging
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            files = {file.name: _digest(file) for file in sorted(staging.iterdir()) if file.is_file()}
            write_json(staging / _MANIFEST, {"identity": self.identity, "files": files})
            _publish(staging, place)
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
                f"settings, or begin anew in another --output_dir."
            )


_REMEDY = "Name an older checkpoint with --resume_from_checkpoint, or remove this one."


def refuse_to_lose(output_dir: str | os.PathLike[str], resume: bool, overwrite: bool) -> None:
    """Make the folder ready for a run: nothing half-written, and no checkpoints of another.

    Raises:
        FileExistsError: checkpoints stand here, and nobody said to go on from them or to remove them.
    """
    folder = Path(output_dir) / FOLDER
    if folder.is_dir():
        remove_partials(folder)
        if not resume and any(folder.iterdir()):
            if not overwrite:
                raise FileExistsError(
                    f"{folder}: checkpoints of an unfinished run stand here. Go on with --resume_from_checkpoint "
                    f"latest, or begin anew with --overwrite_output_dir."
                )
            shutil.rmtree(folder)
    remove_partials(output_dir)


def _staging(place: Path) -> Path:
    return partial_path(place, "shared")


def _publish(staging: Path, place: Path) -> None:
    """Rename a whole folder; one that stands under its name goes out of the way first."""
    if place.is_dir():
        old = partial_path(place, "old")
        os.replace(place, old)
        os.replace(staging, place)
        shutil.rmtree(old)
    else:
        os.replace(staging, place)


def _digest(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under names with dots. Lists are compared whole."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = list(value) if isinstance(value, tuple) else value
    return flat
