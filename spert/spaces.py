"""A model's page as a Space on the Hub: the files of `spert/demo/`, and what a Space needs beside them."""

import json
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import CommitOperationAdd

from .hub import Pushed, commit_files
from .markdown import code

GRADIO_VERSION = "6.31.0"
"""The version that a Space runs, which is the one that the tests run."""

REQUIREMENTS = ("torch>=2.11", "transformers>=5.17", "regex>=2025.10.22")
MODULES = ("__init__", "drawing", "graph", "markup", "page", "reading", "serving", "space")
_DEMO = Path(__file__).with_name("demo")

_CARD = """---
title: {title}
emoji: 🔗
colorFrom: blue
colorTo: green
sdk: gradio
sdk_version: {gradio}
app_file: app.py
models:
- {model}
pinned: false
short_description: Entities and relations in a text
license: apache-2.0
---

# {heading}

This page shows which entities the model [{model}](https://huggingface.co/{model}) finds in a text, and how they are
related. It runs the model's own code at the commit that `space.json` names, and calls nobody. If the model is private,
the Space needs a secret `HF_TOKEN` that may read it.
"""


def push_space(
    space_id: str,
    model: Pushed,
    *,
    examples: Sequence[str] = (),
    token: str | None = None,
    private: bool | None = None,
    message: str = "Upload page",
    again: str = "",
) -> Pushed:
    """Upload a model's page, in one commit; the Space is created if it does not exist.

    Args:
        space_id: `org/name`, or `name` for the token's own account.
        model: where the model is. The page runs exactly this commit of it.
        examples: texts that the page offers; they become as public as the Space.
        token, private, message: as for `push_folder`.
        again: what an error says at its end.

    Raises:
        ValueError: the Space is public, and `private` is asked for.
        ConnectionError: the Hub refused the upload or could not be reached.
    """

    def files_of(full_id: str) -> list[CommitOperationAdd]:
        files = space_files(full_id, model, examples)
        return [CommitOperationAdd(name, content) for name, content in sorted(files.items())]

    return commit_files(space_id, files_of, token=token, private=private, message=message, again=again, is_space=True)


def space_files(space_id: str, model: Pushed, examples: Sequence[str] = ()) -> dict[str, bytes]:
    """All files of a Space, by their paths in it.

    Args:
        space_id: its full name.
        model: the commit that it runs.
        examples: texts that the page offers.
    """
    name = space_id.rsplit("/", 1)[-1]
    card = _CARD.format(title=json.dumps(name), heading=code(name), gradio=GRADIO_VERSION, model=model.repo_id)
    settings = {"model": model.repo_id, "revision": model.revision, "examples": list(examples)}
    files = {
        "README.md": card.encode(),
        "requirements.txt": "".join(f"{line}\n" for line in REQUIREMENTS).encode(),
        "space.json": (json.dumps(settings, ensure_ascii=False, indent=2) + "\n").encode(),
        "app.py": (_DEMO / "app.py").read_bytes(),
        "spert/__init__.py": b'"""The page of a model: a part of the package of this name."""\n',
        "spert/demo/style.css": (_DEMO / "style.css").read_bytes(),
    }
    return files | {f"spert/demo/{module}.py": (_DEMO / f"{module}.py").read_bytes() for module in MODULES}
