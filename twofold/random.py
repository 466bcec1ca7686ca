"""torch.random: the state of the default generator."""

from .errors import explain_missing as _explain_missing

__getattr__ = _explain_missing(__name__, dir())
