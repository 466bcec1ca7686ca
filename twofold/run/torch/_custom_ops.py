"""`torch._custom_ops`, the older place of `torch.library`."""

from __future__ import annotations

from . import library as _library

custom_op = _library.custom_op
impl_abstract = _library.impl_abstract
