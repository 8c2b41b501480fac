"""Put the root files that ship to the Hub into the wheel's `spert/`, beside the package's own modules."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShippedFiles(BuildHookInterface):
    """Maps `*_spert.py` to `spert/*_spert.py`; an editable install finds them at the root (see `spert/__init__.py`)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling; `version` is `editable` or `standard`."""
        if version != "editable":
            for file in sorted(Path(self.root).glob("*_spert.py")):
                build_data["force_include"][str(file)] = f"spert/{file.name}"
