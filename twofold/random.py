"""torch.random: the state of the default generator."""

from .errors import explain_missing as _explain_missing
from .functions.random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from .settings import fork_rng

__all__ = [
    "Generator", "default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed",
    "seed", "set_rng_state",
]  # fmt: skip

__getattr__ = _explain_missing(__name__, dir())
