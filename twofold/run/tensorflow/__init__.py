"""What TensorFlow 1 has besides graphs and sessions: `python -m twofold.run --as tensorflow==1`.

The rest of its names are `twofold.static`'s.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

from . import contrib, estimator, metrics

# The package `tensorboard` must write its files by itself, not by this.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))

__version__ = "1.15.0"
VERSION = __version__


def _accepted(**defaults: Any) -> Any:
    """A class of options that are accepted and change nothing."""

    def make(*args: Any, **options: Any) -> SimpleNamespace:
        found = {k: v() if callable(v) else v for k, v in defaults.items()}
        return SimpleNamespace(**{**found, **options})

    return make


GPUOptions = _accepted(allow_growth=False, per_process_gpu_memory_fraction=1.0)
ConfigProto = _accepted(gpu_options=GPUOptions, log_device_placement=False)
RunOptions = RunMetadata = NodeDef = _accepted()


class logging:
    """TensorFlow's log: levels are accepted, and nothing is logged."""

    DEBUG, INFO, WARN, ERROR, FATAL = 10, 20, 30, 40, 50

    @staticmethod
    def set_verbosity(level: int) -> None:
        """Accepted."""


class app:
    """`tf.app`."""

    @staticmethod
    def run(main: Any = None, argv: Any = None) -> None:
        """Call main, else the program's, with the arguments and exit with what it gives."""
        main = main or sys.modules["__main__"].main
        raise SystemExit(main(sys.argv if argv is None else argv))


__all__ = [
    "VERSION",
    "ConfigProto",
    "GPUOptions",
    "app",
    "contrib",
    "estimator",
    "logging",
    "metrics",
]
