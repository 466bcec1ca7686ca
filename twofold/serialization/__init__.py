"""Files: PyTorch's checkpoints, safetensors, trees of values, and checkpoints of training.

No code from a file is ever run.
"""

from .checkpoint import Checkpoint
from .checkpoint_file import load, save
from .files import FormatError
from .names import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from .safetensors import load_file, read_header, save_file
from .unpickle import Refused
