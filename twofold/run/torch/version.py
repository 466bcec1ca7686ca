"""`torch.version`: the PyTorch whose names Twofold answers to."""

from __future__ import annotations

__version__ = "2.13.0+twofold"
cuda = None
hip = None
debug = False
git_version = "unknown"
