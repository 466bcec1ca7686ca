"""What every test runs under: each stage of a compile is verified. Tests marked `native` are of
machine code: they are skipped where the references run the graph (`TWOFOLD_BACKEND=reference`)."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("TWOFOLD_VERIFY", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs machine code where there is none."""
    if os.environ.get("TWOFOLD_BACKEND", "native") == "native":
        return
    skip = pytest.mark.skip(reason="of machine code; the references run this")
    for item in items:
        if item.get_closest_marker("native"):
            item.add_marker(skip)
