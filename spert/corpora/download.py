"""Find a corpus's published files: in a folder, or by download into the Hugging Face cache."""

import os
from pathlib import Path

from datasets import DownloadConfig, DownloadManager

PUBLISHED_AT = "http://lavis.cs.hs-rm.de/storage/spert/public/datasets"
"""Where the authors of the paper publish their corpora; the variable `SPERT_DATASETS_URL` names a mirror."""


def corpus_files(corpus: str, files: dict[str, str], data_dir: str | None) -> dict[str, str]:
    """The path of each of a corpus's files.

    Args:
        corpus: its name, a folder of the server.
        files: a name of the file's part, to the file's name.
        data_dir: the folder that holds the files. Default: they are downloaded once, into the Hugging Face cache.

    Raises:
        FileNotFoundError: the folder does not hold a file; the message names all that are missing.
        ConnectionError: a download failed; the message says which files to put where.
    """
    if data_dir is not None:
        paths = {part: Path(data_dir) / name for part, name in files.items()}
        missing = [path.name for path in paths.values() if not path.is_file()]
        if missing:
            raise FileNotFoundError(
                f"{corpus}: expected the files {', '.join(files.values())} in {data_dir}, "
                f"missing: {', '.join(missing)}."
            )
        return {part: str(path) for part, path in paths.items()}
    server = os.environ.get("SPERT_DATASETS_URL", PUBLISHED_AT).rstrip("/")
    urls = {part: f"{server}/{corpus}/{name}" for part, name in files.items()}
    manager = DownloadManager(dataset_name=corpus, download_config=DownloadConfig(max_retries=2))
    try:
        return manager.download(urls)
    except Exception as error:  # the library raises many kinds, of several HTTP clients
        raise ConnectionError(
            f"{corpus}: could not download {', '.join(urls.values())}: {error}. Put these files into a folder and name "
            f"it (data_dir=… or --data_dir …), or name a mirror in SPERT_DATASETS_URL."
        ) from error
