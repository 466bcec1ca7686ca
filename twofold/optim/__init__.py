"""torch.optim: methods that change parameters to make a loss smaller."""

from ..errors import explain_missing as _explain_missing
from . import lr_scheduler, swa_utils
from .adagrad import Adadelta, Adagrad, RMSprop
from .adam import Adam, Adamax, AdamW, NAdam, RAdam
from .factored import Adafactor, Muon
from .lbfgs import LBFGS
from .optimizer import Optimizer
from .rprop import ASGD, Rprop
from .sgd import SGD
from .sparse_adam import SparseAdam

__getattr__ = _explain_missing(__name__, dir())
