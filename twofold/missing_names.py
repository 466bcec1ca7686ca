"""Why names of PyTorch's are not here, for errors and for the documentation."""

from __future__ import annotations

REASONS: dict[str, dict[str, str]] = {}
"""For each namespace, names (with spaces between) by the reason."""


def reason_of(namespace: str, name: str) -> str | None:
    """Why `name` is missing in a namespace; None where nothing is known."""
    for reason, names in REASONS.get(namespace, {}).items():
        if name in names.split():
            return reason
    return None
