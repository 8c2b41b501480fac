"""Put the root files that ship to the Hub, and the training script, into the wheel's `spert/`."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShippedFiles(BuildHookInterface):
    """Maps `*_spert.py` to `spert/*_spert.py`; an editable install finds them at the root (see `spert/__init__.py`).

    `spert study` and `spert search` start `python -m spert.train_accelerate`, which a checkout has at its root, too.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling; `version` is `editable` or `standard`."""
        if version != "editable":
            root = Path(self.root)
            for file in (*sorted(root.glob("*_spert.py")), root / "train_accelerate.py"):
                build_data["force_include"][str(file)] = f"spert/{file.name}"
