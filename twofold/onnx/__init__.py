"""ONNX models: read, run, trained further, saved as programs.

Needs the package `onnx` (the extra `onnx`), which parses the files.
"""

from .model import OnnxModel, load
from .registry import UnsupportedOperator, operators

__all__ = ["OnnxModel", "UnsupportedOperator", "load", "operators"]
