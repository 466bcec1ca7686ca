"""torch.amp: mixed precision."""

from ..errors import explain_missing as _explain_missing
from .autocast import autocast, custom_bwd, custom_fwd, is_autocast_available
from .grad_scaler import GradScaler

__getattr__ = _explain_missing(__name__, dir())
