"""torch.nn: modules, their functional forms, initialisation and tools for them."""

from ..errors import explain_missing as _explain_missing
from . import functional, init, modules, parallel, parameter, utils
from .modules import *
from .parameter import (
    Buffer,
    Parameter,
    UninitializedBuffer,
    UninitializedParameter,
)

__getattr__ = _explain_missing(__name__, dir())
