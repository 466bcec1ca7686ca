"""`torch.multiprocessing`: Python's own. Tensors are copied to other processes, not shared."""

from __future__ import annotations

import multiprocessing as _multiprocessing

globals().update({name: getattr(_multiprocessing, name) for name in _multiprocessing.__all__})
