"""Read and write files so that a reader never sees half of one: written beside, then renamed."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """A text file that appears under its name when the block ends well, and not at all when it does not."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
        _publish(Path(name), target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name to write a file under, which then appears at `path`: for writers that open their file themselves."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        yield partial
        _publish(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: str | os.PathLike[str], last: str = "config.json") -> Iterator[Path]:
    """A folder to write into whose files move to `path` when the block ends well, `last` after all others.

    Files that stand at `path` under the same names are replaced; others stay. A model folder without `config.json`
    does not load, so that nobody takes a half moved one for whole.
    """
    target = Path(path)
    target.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target, prefix=".partial-"))
    try:
        yield staging
        files = sorted((file for file in staging.rglob("*") if file.is_file()), key=lambda file: file.name == last)
        for file in files:
            place = target / file.relative_to(staging)
            place.parent.mkdir(parents=True, exist_ok=True)
            _publish(file, place)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def remove_partials(folder: str | os.PathLike[str]) -> None:
    """Remove what writers left half-written in a folder when they were killed."""
    for leftover in Path(folder).glob(".*partial*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any, indent: int | None = 2) -> None:
    """Write JSON, whole or not at all."""
    with atomic_writer(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=indent)
        file.write("\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON.

    Raises:
        ValueError: the file is not JSON; the message names it, line and column.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}: expected JSON, but line {error.lineno}, column {error.colno} reads otherwise: {error.msg}."
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8, but byte {error.start} is none: {error.reason}.") from error


def read_json_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, Any]]:
    """The values of a JSON Lines file, with the numbers of their lines from 1; empty lines are passed over.

    Raises:
        ValueError: a line is not JSON; the message names file and line.
    """
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: expected JSON: {error.msg}.") from error
            yield number, value


def _publish(file: Path, place: Path) -> None:
    """Rename a finished file; temporary files (and safetensors') are for their owner alone, published ones are not."""
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(file, 0o666 & ~umask)
    os.replace(file, place)
