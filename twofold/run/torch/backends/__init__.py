"""`torch.backends`: switches of PyTorch's libraries. They can be set, and change nothing here."""

from __future__ import annotations

from . import cpu, cuda, cudnn, mkldnn, mps, openmp, quantized
