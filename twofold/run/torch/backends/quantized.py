"""`torch.backends.quantized`: there is no quantized arithmetic."""

from __future__ import annotations

engine = "none"
supported_engines: list[str] = []
