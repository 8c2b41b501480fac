"""Put a trained model on the Hub: code, weights, processor, card and scores in one commit."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError
from transformers.dynamic_module_utils import get_relative_import_files

from .files import read_json

CARD = "README.md"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"

HANDLER = Path(__file__).with_name("handler.py")
"""What makes a repository an Inference Endpoint; it goes up with a model that has none of its own."""

_REQUIRED = ("config.json", "processor_config.json")
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
TUNING_RESULTS = ("tuning.json", "calibration.png", "precision_recall.png")
RESULTS = (
    CARD,
    "metrics.json",
    "metrics_without_overlapping.json",
    "metrics_from_text.json",
    "dev_scores.json",
    "learning_curves.png",
    "scores_by_type.png",
    *TUNING_RESULTS,
)
"""What training and tuning write beside the model; predictions and `run.json` stay, for they hold text and paths."""

# HTTPError is that of the HTTP library which the installed huggingface_hub uses (httpx, later httpx2).
_FAILURES = (HfHubHTTPError, HTTPError, LocalTokenNotFoundError, OSError, RuntimeError)


class Pushed(NamedTuple):
    """A commit on the Hub.

    Args:
        url: its address.
        repo_id: the repository, with its owner.
        revision: the commit's name.
    """

    url: str
    repo_id: str
    revision: str


def push_folder(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    message: str = "Upload model",
) -> Pushed:
    """Upload a trained model's folder in one commit; the repository is created if it does not exist.

    Only files that this project writes are uploaded (see [`files_to_push`]). In the card that is uploaded, the examples
    load the model from the repository; the folder itself is not changed.

    Args:
        folder: what training wrote.
        repo_id: `org/name`, or `name` for the token's own account.
        token: default: the one that `hf auth login` saved.
        private: `True`: upload to a private repository only. Default: a new repository gets the account's default, an
            existing one stays as it is.

    Raises:
        ValueError: the folder holds no model, a file is a symbolic link, or the repository is public and `private` is
            asked for.
        ConnectionError: the Hub refused the upload or could not be reached; the message says how to go on.
    """
    files = files_to_push(folder)
    again = f"Nothing in {folder} was changed. To try again: spert push {folder} {repo_id}"
    return commit_files(
        repo_id,
        lambda full_id: [CommitOperationAdd(file.name, _content(file, full_id)) for file in files],
        token=token,
        private=private,
        message=message,
        again=again + (" --private" if private else ""),
    )


def commit_files(
    repo_id: str,
    files_of: Callable[[str], Sequence[CommitOperationAdd]],
    *,
    token: str | None,
    private: bool | None,
    message: str,
    again: str,
    is_space: bool = False,
) -> Pushed:
    """Put files into a repository, in one commit; the repository is created if it does not exist.

    Args:
        repo_id: `org/name`, or `name` for the token's own account.
        files_of: the full name of the repository to its files.
        again: what an error says at its end.
        is_space: whether the repository is a Space that runs Gradio, as opposed to a model.
        token, private, message: as for `push_folder`.

    Raises:
        ValueError: the repository is public, and `private` is asked for.
        ConnectionError: the Hub refused the upload or could not be reached.
    """
    api = HfApi(token=token)
    kind, sdk = ("space", "gradio") if is_space else (None, None)
    try:
        full_id = api.create_repo(repo_id, private=private, exist_ok=True, repo_type=kind, space_sdk=sdk).repo_id
        if private and not api.repo_info(full_id, repo_type=kind).private:
            raise ValueError(
                f"{full_id}: expected a private repository (--private), but it exists and is public. Nothing was "
                f"uploaded. Make it private in its settings, name another repository, or leave --private out."
            )
        commit = api.create_commit(full_id, files_of(full_id), commit_message=message, repo_type=kind)
        return Pushed(str(commit.commit_url), full_id, commit.oid)
    except _FAILURES as error:
        raise ConnectionError(f"{repo_id}: the upload failed: {_reason(error)} {again}") from error


def files_to_push(folder: str | os.PathLike[str]) -> list[Path]:
    """The files of a folder that belong to its model, by name: code, weights, processor, card, scores and pictures.

    Code is what the configuration files load, and what that imports. Weights are `model.safetensors`, or the parts that
    its index names. A folder without `handler.py` gets this package's. Files of other names are never uploaded.

    Raises:
        ValueError: the folder holds no model, or one of these files is a symbolic link.
    """
    place = Path(folder)
    for name in _REQUIRED:
        if not (place / name).is_file():
            raise ValueError(f"{folder}: expected a trained model's folder, got one without {name}.")
    names = [*_REQUIRED, *weight_files(place), *_code(place)]
    for name in names:
        if not (place / name).is_file():
            raise ValueError(f"{folder}: expected a trained model's folder, got one without {name}, which it needs.")
    names += [name for name in (*_TOKENIZER, *RESULTS, HANDLER.name) if (place / name).is_file()]
    for name in names:
        if not _is_plain_name(name):
            raise ValueError(f"{folder}: expected names of files in this folder, got {name!r} in its configuration.")
        if (place / name).is_symlink():
            raise ValueError(
                f"{place / name}: expected a file, got a symbolic link to {os.readlink(place / name)}. Links are never "
                f"uploaded: put a copy of the file in its place."
            )
    if not (place / HANDLER.name).exists():
        return [*(place / name for name in sorted(set(names))), HANDLER]
    return [place / name for name in sorted(set(names))]


def check_token(token: str | None = None) -> str:
    """The name of the account that a push would use.

    Raises:
        ConnectionError: there is no token, or the Hub does not know it.
    """
    try:
        return str(HfApi(token=token).whoami()["name"])
    except _FAILURES as error:
        raise ConnectionError(
            f"--push_to_hub: expected a token that the Hub knows, from `hf auth login` or --hub_token: {_reason(error)}"
        ) from error


def weight_files(folder: Path) -> list[str]:
    """The names of the files that transformers reads a model's weights from: one, or an index and its parts.

    Raises:
        ValueError: the index does not name files in this folder.
    """
    if (folder / WEIGHTS).exists() or not (folder / WEIGHTS_INDEX).is_file():
        return [WEIGHTS]
    index = read_json(folder / WEIGHTS_INDEX)
    parts = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(parts, dict) or not parts or not all(_is_plain_name(part) for part in parts.values()):
        raise ValueError(
            f"{folder / WEIGHTS_INDEX}, field 'weight_map': expected for each tensor the name of a file in this "
            f"folder, got {parts!r:.200}."
        )
    return [WEIGHTS_INDEX, *sorted(set(parts.values()))]


def _code(folder: Path) -> list[str]:
    """The modules that the configuration files name, and what these import."""
    classes: list[str] = []
    for name in _REQUIRED:
        content = read_json(folder / name)
        if not isinstance(content, dict):
            raise ValueError(f"{folder / name}: expected an object, got {type(content).__name__}.")
        try:
            named = [*(content.get("auto_map") or {}).values()]
            named += [pipeline["impl"] for pipeline in (content.get("custom_pipelines") or {}).values()]
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{folder / name}: expected names of classes in auto_map and custom_pipelines.") from error
        for of_class in named:
            if not isinstance(of_class, str):
                raise ValueError(f"{folder / name}: expected the names of classes, got {of_class!r}.")
        classes += named
    modules = {f"{of_class.split('.')[0]}.py" for of_class in classes}
    for module in sorted(modules):
        if _is_plain_name(module) and (folder / module).is_file():
            modules |= {os.path.relpath(path, folder) for path in get_relative_import_files(folder / module)}
    return sorted(modules)


def _is_plain_name(name: object) -> bool:
    return isinstance(name, str) and Path(name).name == name


def _content(file: Path, repo_id: str) -> str | bytes:
    if file.name != CARD:
        return str(file)
    card = file.read_text(encoding="utf-8")
    return re.sub(r'(pipeline\("[\w-]+", model=)"(?:[^"\\\n]|\\.)*"', rf'\1"{repo_id}"', card).encode()


def _reason(error: Exception) -> str:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return first if first.endswith(".") else f"{first}."
