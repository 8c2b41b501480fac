"""Models as graphs for other runtimes: ONNX, and torch.export programs."""

from .export import FORMATS, export_model
from .runtime import ExportedModel, is_exported

__all__ = ["FORMATS", "ExportedModel", "export_model", "is_exported"]
