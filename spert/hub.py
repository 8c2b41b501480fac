"""Put a trained model on the Hub: code, weights, processor, card and metrics in one commit."""

import os
from pathlib import Path

import httpx
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from .files import read_json

CARD = "README.md"
UPLOADED = (
    "*_spert.py",
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "processor_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "metrics*.json",
    "dev_scores.json",
    "*.png",
    CARD,
)
"""What goes up; nothing else of the folder does: no checkpoints, no predictions (they hold the corpus's text)."""


def push_folder(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    message: str = "Upload model",
) -> str:
    """Upload a trained model's folder in one commit; the repository is made where it does not exist.

    The card's examples name the repository in place of the folder; the folder itself is not changed.

    Args:
        folder: what training wrote.
        repo_id: `org/name`, or `name` in one's own account.
        token: default: the one that `hf auth login` saved.
        private: for a repository that is made. Default: the account's.

    Returns:
        The commit's address.

    Raises:
        ValueError: the folder holds no model.
        ConnectionError: the Hub refused or could not be reached; the message says how to go on.
    """
    place = Path(folder)
    for name in ("config.json", "processor_config.json"):
        if not (place / name).is_file():
            raise ValueError(f"{folder}: expected a trained model's folder, got one without {name}.")
    api = HfApi(token=token)
    try:
        full_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        operations = [
            CommitOperationAdd(file.name, _content(file, place, full_id))
            for file in sorted({file for pattern in UPLOADED for file in place.glob(pattern)})
        ]
        return str(api.create_commit(full_id, operations, commit_message=message).commit_url)
    except (HfHubHTTPError, httpx.HTTPError, LocalTokenNotFoundError, OSError, RuntimeError) as error:
        raise ConnectionError(
            f"{repo_id}: the upload did not come about: {_reason(error)} Nothing in {folder} was changed; go on with: "
            f"spert push {folder} {repo_id}"
        ) from error


def check_token(token: str | None = None) -> str:
    """The name of the account that a push would use.

    Raises:
        ConnectionError: there is no token, or the Hub does not know it.
    """
    try:
        return str(HfApi(token=token).whoami()["name"])
    except (HfHubHTTPError, httpx.HTTPError, LocalTokenNotFoundError, OSError) as error:
        raise ConnectionError(
            f"--push_to_hub: expected a token that the Hub knows, from `hf auth login` or --hub_token: {_reason(error)}"
        ) from error


def _content(file: Path, folder: Path, repo_id: str) -> str | bytes:
    if file.name != CARD:
        return str(file)
    card = file.read_text(encoding="utf-8")
    run = folder / "run.json"
    if run.is_file():
        card = card.replace(f'"{read_json(run)["settings"]["output_dir"]}"', f'"{repo_id}"')
    return card.encode()


def _reason(error: Exception) -> str:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return first if first.endswith(".") else f"{first}."
