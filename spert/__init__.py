"""SpERT: span-based joint entity and relation extraction (Eberts and Ulges, arXiv:1909.07755).

The files that ship to the Hub stand at the root of the repository as `*_spert.py` and are modules of this package:
a wheel holds them beside this file; in a checkout, installed or not, the repository's root is added to the path here.
"""

from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
if (_ROOT / "modeling_spert.py").is_file():
    __path__.append(str(_ROOT))

from .configuration_spert import SpertConfig  # noqa: E402
from .modeling_spert import SpertModel, SpertOutput  # noqa: E402
from .pipeline_spert import SpertPipeline  # noqa: E402
from .processing_spert import SpertProcessor  # noqa: E402

__version__ = "0.1.0"
__all__ = ["SpertConfig", "SpertModel", "SpertOutput", "SpertPipeline", "SpertProcessor", "__version__"]
