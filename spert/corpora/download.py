"""Find a corpus's published files: in a folder, or by download into the Hugging Face cache."""

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import datasets
from datasets import DownloadConfig, DownloadManager

from ..files import parse_json, partial_path, publish, remove

MAX_UNPACKED = 2**28
"""Bytes that a downloaded archive may unpack to: a hundred times what the largest corpus has."""

PUBLISHED_AT = "http://lavis.cs.hs-rm.de/storage/spert/public/datasets"
"""Where the authors of the paper publish their corpora."""


@dataclass(frozen=True)
class PublishedFile:
    """A file on a server.

    Args:
        name: its name there.
        sha256: its checksum, where that is known: a file with another one is refused.
    """

    name: str
    sha256: str | None = None


def corpus_files(corpus: str, files: Mapping[str, str], data_dir: str | None) -> dict[str, str]:
    """The path of each of a corpus's files, in a folder or, without one, downloaded from the paper's authors.

    Args:
        corpus: its name, a folder of the server.
        files: a name of the file's part, to the file's name.
        data_dir: the folder that holds the files.

    Raises:
        FileNotFoundError, ConnectionError: as `existing_files` and `download_files`.
    """
    if data_dir is not None:
        return existing_files(corpus, files, data_dir)
    return download_files(
        corpus, {part: PublishedFile(name) for part, name in files.items()}, f"{PUBLISHED_AT}/{corpus}"
    )


def existing_files(corpus: str, files: Mapping[str, str], data_dir: str) -> dict[str, str]:
    """The path of each file in a folder. *Raises* `FileNotFoundError`, naming all that are missing."""
    paths = {part: Path(data_dir) / name for part, name in files.items()}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{corpus}: expected the files {', '.join(files.values())} in {data_dir}, missing: {', '.join(missing)}."
        )
    return {part: str(path) for part, path in paths.items()}


def download_files(corpus: str, files: Mapping[str, PublishedFile], server: str) -> dict[str, str]:
    """Download files once, into a folder of the Hugging Face cache that is named after the server.

    A file is kept only if it was read whole, is of its kind (JSON, or a gzip archive that unpacks within
    `MAX_UNPACKED`) and has the checksum that is expected of it: what a broken server sends is asked for again the next
    time.

    Args:
        corpus: named in errors.
        files: a name of the file's part, to the file.
        server: the address of the folder that holds them. The variable `SPERT_DATASETS_URL` names a mirror of all
            corpora in its place, with a folder for each.

    Raises:
        ConnectionError: a download failed; the message says which files to put where.
        ValueError: what came is not the file that was published; the message names address and file.
    """
    mirror = os.environ.get("SPERT_DATASETS_URL")
    server = f"{mirror.rstrip('/')}/{corpus}" if mirror else server
    folder = Path(datasets.config.DOWNLOADED_DATASETS_PATH) / "spert" / _folder_name(server)
    paths = {}
    for part, file in files.items():
        place = folder / file.name
        if not (place.is_file() and _is_published(place, file)):
            _download(corpus, file, server, place)
        paths[part] = str(place)
    return paths


def _download(corpus: str, file: PublishedFile, server: str, place: Path) -> None:
    """Download a file to `place`, where it appears whole and checked, or not at all."""
    address = f"{_without_password(server)}/{file.name}"
    staging = partial_path(place)
    staging.mkdir(parents=True)
    try:
        configuration = DownloadConfig(cache_dir=str(staging), force_download=True, max_retries=2, disable_tqdm=True)
        try:
            found = Path(
                DownloadManager(dataset_name=corpus, download_config=configuration).download(f"{server}/{file.name}")
            )
        except Exception as error:  # the library raises many kinds, of several HTTP clients
            reason = " ".join(str(error).split()).replace(server, _without_password(server))
            raise ConnectionError(
                f"{corpus}: could not download {address}: {reason or type(error).__name__}. Put {file.name} and the "
                f"corpus's other files into a folder and name it (data_dir=… or --data_dir …), or name a mirror in "
                f"SPERT_DATASETS_URL."
            ) from error
        try:
            _check(found, file)
        except ValueError as error:
            raise ValueError(
                f"{corpus}: {address}: {error} Nothing was kept: try again, or download {file.name} by hand and name "
                f"its folder (data_dir=… or --data_dir …)."
            ) from error
        publish(found, place)
    finally:
        remove(staging)


def _check(path: Path, file: PublishedFile) -> None:
    """Refuse what cannot be the file that was asked for."""
    if not _is_published(path, file):
        raise ValueError(f"expected the SHA-256 {file.sha256}, got {_sha256(path)}: the file is damaged or another.")
    with open(path, "rb") as content:
        head = content.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise ValueError("expected a corpus's file, got a web page, as a portal or a moved server sends it.")
    if file.name.endswith(".json"):
        parse_json(path.read_bytes())
    elif file.name.endswith(".gz"):
        _check_gzip(path)


def _check_gzip(path: Path) -> None:
    """Read a gzip file to its end, which checks its length and checksum, but not beyond `MAX_UNPACKED`."""
    size = 0
    try:
        with gzip.open(path) as content:
            while block := content.read(2**20):
                size += len(block)
                if size > MAX_UNPACKED:
                    raise ValueError(f"expected at most {MAX_UNPACKED} bytes unpacked, got more.")
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"expected a gzip archive, but it cannot be read whole: {error}.") from error


def _is_published(path: Path, file: PublishedFile) -> bool:
    return file.sha256 is None or _sha256(path) == file.sha256


def _sha256(path: Path) -> str:
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _folder_name(server: str) -> str:
    """A server's address as the name of a folder."""
    return re.sub(r"[^\w.-]+", "_", _without_password(server))


def _without_password(server: str) -> str:
    """An address without `user:password@`, for messages and names."""
    parts = urlsplit(server)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
