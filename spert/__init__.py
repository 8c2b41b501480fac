"""SpERT: span-based joint entity and relation extraction (Eberts and Ulges, arXiv:1909.07755).

The files that ship to the Hub stand at the root of the repository as `*_spert.py` and are modules of this package:
a wheel holds them beside this file; in a checkout, installed or not, the repository's root is added to the path here.

The classes are imported when they are asked for: commands that need no model answer without torch.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

_ROOT = Path(__file__).resolve().parent.parent
if (_ROOT / "modeling_spert.py").is_file():
    __path__.append(str(_ROOT))

if TYPE_CHECKING:
    from .configuration_spert import SpertConfig
    from .modeling_spert import SpertModel
    from .outputs_spert import SpertOutput
    from .pipeline_spert import SpertPipeline
    from .processing_spert import SpertProcessor

__version__ = "0.1.0"
__all__ = ["SpertConfig", "SpertModel", "SpertOutput", "SpertPipeline", "SpertProcessor", "__version__"]

_HOME = {
    "SpertConfig": "configuration_spert",
    "SpertModel": "modeling_spert",
    "SpertOutput": "outputs_spert",
    "SpertPipeline": "pipeline_spert",
    "SpertProcessor": "processing_spert",
}
"""The module of each class."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
