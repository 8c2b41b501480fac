"""Read JSON, and write files and folders atomically: under a staging name, then flushed to disk and renamed.

A reader sees the old file or the whole new one, never half of one. A killed process leaves a staging name behind, such
as `.metrics.json.0f3a9c1e.spert-partial`; `remove_partials` removes these, and nothing else.
"""

import glob
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

_PARTIAL_NAME = re.compile(r"\..+\.[0-9a-z]+\.spert-partial", re.DOTALL)
"""The names of files and folders that are being written, and of no others: `.{name}.{tag}.spert-partial`."""


STANDARD_STREAM = "-"
"""The name that stands for standard input or standard output on the command line."""


def matching(name: str) -> list[Path]:
    """The files and folders that a name on the command line stands for: itself, or what matches it as a pattern.

    Raises:
        FileNotFoundError: there is nothing of that name, or nothing that matches.
    """
    if os.path.lexists(name):
        return [Path(name)]
    found = sorted(glob.glob(name, recursive=True), key=by_number)
    if not found and glob.has_magic(name):
        raise FileNotFoundError(f"{name}: expected a pattern that matches files, got one that matches nothing.")
    if not found:
        raise FileNotFoundError(f"{name}: expected a file or a folder, got nothing of that name.")
    return list(map(Path, found))


def by_number(name: str) -> list[str | int]:
    """A sorting key by which `part-10` comes after `part-9`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def partial_path(place: str | os.PathLike[str], tag: str | None = None) -> Path:
    """A staging name beside `place`, to write a file or a folder under before it is renamed to `place`.

    Args:
        place: the final path.
        tag: lower-case letters and digits. Processes that write one folder together pass the same tag. Default: a
            random tag, so that two writers of one path never share a staging name.
    """
    tag = secrets.token_hex(4) if tag is None else tag
    staging = Path(place).with_name(f".{Path(place).name}.{tag}.spert-partial")
    if not is_partial(staging):
        raise ValueError(f"partial_path: expected a tag of lower-case letters and digits, got {tag!r}.")
    return staging


def is_partial(path: str | os.PathLike[str]) -> bool:
    """Whether a path has a name that `partial_path` makes."""
    return _PARTIAL_NAME.fullmatch(Path(path).name) is not None


def remove_partials(folder: str | os.PathLike[str]) -> None:
    """Remove the staging files and folders that killed processes left directly in a folder."""
    for leftover in filter(is_partial, list(Path(folder).glob(".*"))):
        remove(leftover)


def remove(path: str | os.PathLike[str]) -> None:
    """Remove a file or a folder with all it holds. A path that does not exist is not an error."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        Path(path).unlink(missing_ok=True)


def publish(staging: str | os.PathLike[str], place: str | os.PathLike[str]) -> None:
    """Flush a finished file or folder to disk and rename it to `place`.

    A file replaces the one at `place`; for a folder, nothing but an empty folder may stand there. A file gets the
    permissions that the umask gives new files, because some writers make files that only their owner can read.
    """
    staging, place = Path(staging), Path(place)
    if staging.is_dir():
        for folder, _, names in os.walk(staging):
            for name in names:
                _flush(Path(folder) / name)
            _flush(Path(folder))
    else:
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(staging, 0o666 & ~umask)
        _flush(staging)
    os.replace(staging, place)
    _flush(place.parent)


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """A UTF-8 text file that appears at `path` when the block succeeds, and not at all when it fails."""
    with atomic_file(path) as staging, open(staging, "w", encoding="utf-8", newline="\n") as file:
        yield file


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A staging name for a writer that opens its file itself; the file appears at `path` when the block succeeds."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    staging = partial_path(place)
    try:
        yield staging
        publish(staging, place)
    except BaseException:
        remove(staging)
        raise


@contextmanager
def atomic_folder(
    path: str | os.PathLike[str], last: str = "config.json", outdated: Sequence[str] = ()
) -> Iterator[Path]:
    """A folder to write into, whose files move to `path` when the block succeeds.

    Files that stand at `path` under the same names are replaced, others stay. Where the block wrote the file `last`, an
    old one is removed before the other files move, and the new one moves after them: a model folder without
    `config.json` does not load, so that old and new files are never loaded together.

    Args:
        outdated: names of files that mean nothing without the old `last`, and are removed with it.
    """
    target = Path(path)
    target.mkdir(parents=True, exist_ok=True)
    staging = partial_path(target / target.resolve().name)
    staging.mkdir()
    try:
        yield staging
        files = sorted((file for file in staging.rglob("*") if file.is_file()), key=lambda file: file.name == last)
        if (staging / last).is_file():
            (target / last).unlink(missing_ok=True)
            for name in outdated:
                (target / name).unlink(missing_ok=True)
        for file in files:
            place = target / file.relative_to(staging)
            place.parent.mkdir(parents=True, exist_ok=True)
            publish(file, place)
    finally:
        remove(staging)


def write_json(path: str | os.PathLike[str], value: Any, indent: int | None = 2) -> None:
    """Write JSON atomically.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold; the message names the file.
    """
    with atomic_writer(path) as file:
        try:
            json.dump(value, file, ensure_ascii=False, indent=indent, allow_nan=False)
        except UnicodeEncodeError:
            raise
        except ValueError as error:
            raise ValueError(
                f"{path}: expected values that JSON can hold: {error}. The file was not written."
            ) from error
        file.write("\n")


class _RepeatedNameError(ValueError):
    """An object names a field twice."""


def _object(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Python takes the last of several fields of one name without a word."""
    made = dict(fields)
    if len(made) != len(fields):
        names = [name for name, _ in fields]
        raise _RepeatedNameError(next(name for name in names if names.count(name) > 1))
    return made


class _NotFiniteError(ValueError):
    """NaN, an infinity, or a number that is too large for a float."""


def _refuse_constant(name: str) -> None:
    raise _NotFiniteError(name)


def _finite_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _NotFiniteError(digits if len(digits) <= 20 else f"{digits[:20]}…")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite_float)


def parse_json(content: str | bytes) -> Any:
    """Parse JSON. `NaN` and `Infinity`, which Python's own reader takes, are not JSON.

    Raises:
        ValueError: the content is not JSON, an object names a field twice, or Python cannot hold it; the caller adds
            the name of the file.
    """
    try:
        return _DECODER.decode(content if isinstance(content, str) else content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8, but byte {error.start} cannot be decoded: {error.reason}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(
            f"expected JSON, but line {error.lineno}, column {error.colno} is not: {error.msg}."
        ) from error
    except _RepeatedNameError as error:
        raise ValueError(f"expected each field of an object once, got {str(error)!r} twice.") from None
    except _NotFiniteError as error:
        raise ValueError(f"expected JSON, got the number {error}, which is not finite.") from None
    except RecursionError:
        raise ValueError("expected JSON, got values that are nested too deeply.") from None
    except ValueError as error:  # Python bounds the digits of an integer
        raise ValueError("expected JSON, got an integer with too many digits.") from error


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: the file is not JSON; the message names the file, line and column.
    """
    try:
        return parse_json(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_json_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, Any]]:
    """The values of a JSON Lines file, each with the number of its line, counted from 1. Empty lines are passed over.

    Raises:
        ValueError: a line is not JSON; the message names the file and the line.
    """
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = parse_json(line.strip())
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
            yield number, value


def _flush(path: Path) -> None:
    """Ask the operating system to write a file or a folder's entries to disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder that may be written into, but not listed
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
