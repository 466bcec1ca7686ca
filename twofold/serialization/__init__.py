"""Files of tensors without pickle: safetensors, trees of values, and checkpoints of training."""

from .checkpoint import Checkpoint
from .files import FormatError
from .safetensors import load_file, read_header, save_file
from .tree import load, save
