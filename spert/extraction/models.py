"""The model of a run: found in a folder or on the Hub, and known by the digests of its files."""

import fnmatch
import hashlib
from pathlib import Path

_LOADED = (
    "config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.safetensors",
    "*.safetensors.index.json",
    "*.bin",
    "*.bin.index.json",
    "*.onnx",
    "*.onnx.data",
    "*.pt2",
)
"""Files of a model's folder that decide what it finds; not its card, scores or pictures."""


def find_model(name: str, revision: str | None = None) -> Path:
    """The folder of a model; one on the Hub is downloaded.

    Args:
        revision: a branch, tag or commit of a repository on the Hub.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: a folder has no revisions.
    """
    path = Path(name)
    if path.is_dir():
        if revision is not None:
            raise ValueError(f"--revision: expected a model on the Hub, which has revisions, got the folder {name}.")
        if not (path / "config.json").is_file():
            raise FileNotFoundError(f"{name}: expected a trained model's folder, got one without config.json.")
        return path
    if path.exists() or name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise FileNotFoundError(f"{name}: expected a trained model's folder, got none of that name.")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_LOADED)))
    except (OSError, ValueError) as error:
        at = "" if revision is None else f" at revision {revision!r}"
        reason = str(error).strip().splitlines()
        raise FileNotFoundError(
            f"{name}: expected a trained model, but there is no folder of that name, and the Hub did not give it{at}: "
            f"{reason[0] if reason else type(error).__name__}"
        ) from error


def digests_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a model's folder that is loaded."""
    digests = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and any(fnmatch.fnmatch(file.name, pattern) for pattern in _LOADED):
            with open(file, "rb") as content:
                digests[file.name] = hashlib.file_digest(content, "sha256").hexdigest()
    return digests
