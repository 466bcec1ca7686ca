"""Counts of what was checked and what agreed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


def text_of(error: BaseException) -> str:
    """An error's class and the start of its message, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


@dataclass
class Outcome:
    """How many samples were run, how many agreed, and how the first of the others differed."""

    total: int = 0
    equal: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, difference: str | None, sample: Any = None) -> None:
        """Count one sample; `difference` is None if it agreed."""
        self.total += 1
        if difference is None:
            self.equal += 1
        elif len(self.failures) < 3:
            self.failures.append(f"{difference} <- {_short(sample)}" if sample else difference)

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def _short(value: Any) -> str:
    """A sample in a few words: shapes in place of values."""
    if hasattr(value, "input") and hasattr(value, "kwargs"):
        parts = [_short(value.input), *map(_short, value.args)]
        parts += [f"{k}={_short(v)}" for k, v in value.kwargs.items()]
        return f"({', '.join(parts)})"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).rpartition('.')[2]}{list(value.shape)}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_short, value))}]"
    return repr(value)[:60]
