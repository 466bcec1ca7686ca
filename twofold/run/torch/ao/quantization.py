"""`torch.ao.quantization`: there are no quantized types, which each name says when it is used."""

from __future__ import annotations

from typing import Any


class _Refused:
    """RuntimeError when made or called."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise RuntimeError(f"[{name}] this build has no quantized types; try the float model")


for _name in (
    "DeQuantStub QConfig QuantStub QuantWrapper convert default_observer fuse_modules "
    "default_per_channel_weight_observer default_weight_observer fuse_modules_qat "
    "get_default_qat_qconfig get_default_qconfig prepare prepare_qat quantize_dynamic"
).split():
    globals()[_name] = type(_name, (_Refused,), {"__module__": __name__})
