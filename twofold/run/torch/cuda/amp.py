"""`torch.cuda.amp`, the older place of `torch.amp`."""

from __future__ import annotations

from typing import Any

from .... import amp


class autocast(amp.autocast):
    """Autocasting on a GPU: `torch.amp.autocast("cuda")`."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """Scaling of losses on a GPU: `torch.amp.GradScaler("cuda")`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("cuda", *args, **kwargs)
