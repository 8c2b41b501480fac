"""Find a corpus's published files: in a folder, or by download into the Hugging Face cache."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets import DownloadConfig, DownloadManager

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
    """Download files once, into the Hugging Face cache.

    Args:
        corpus: named in errors.
        files: a name of the file's part, to the file.
        server: the address of the folder that holds them. The variable `SPERT_DATASETS_URL` names a mirror of all
            corpora in its place, with a folder for each.

    Raises:
        ConnectionError: a download failed; the message says which files to put where.
        ValueError: a file is not the one that was published.
    """
    mirror = os.environ.get("SPERT_DATASETS_URL")
    server = f"{mirror.rstrip('/')}/{corpus}" if mirror else server
    urls = {part: f"{server}/{file.name}" for part, file in files.items()}
    manager = DownloadManager(
        dataset_name=corpus, download_config=DownloadConfig(max_retries=2, resume_download=True, disable_tqdm=True)
    )
    try:
        paths = manager.download(urls)
    except Exception as error:  # the library raises many kinds, of several HTTP clients
        raise ConnectionError(
            f"{corpus}: could not download {', '.join(urls.values())}: {error}. Put these files into a folder and name "
            f"it (data_dir=… or --data_dir …), or name a mirror in SPERT_DATASETS_URL."
        ) from error
    for part, path in paths.items():
        expected = files[part].sha256
        if expected is not None:
            found = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            if found != expected:
                Path(path).unlink()  # or it would be taken from the cache for ever
                raise ValueError(
                    f"{corpus}: {urls[part]}: expected the SHA-256 {expected}, got {found}: the file is damaged or "
                    f"another. It was taken out of the cache; try again."
                )
    return paths
