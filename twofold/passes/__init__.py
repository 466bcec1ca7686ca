"""Rewrites of the graph before it is cut into kernels: one file a pass, listed in order by
`run`."""

from __future__ import annotations

from collections.abc import Sequence

from .. import trace
from ..graph.node import Node, postorder
from .expand import expand
from .layout import pull_permutes
from .simplify import simplify

PASSES = (simplify, pull_permutes, expand, simplify)


def run(roots: Sequence[Node]) -> list[Node]:
    """The roots after all passes."""
    now = list(roots)
    for rewrite in PASSES:
        before = now
        now = rewrite(now)
        if trace.at(trace.GRAPHS):
            same = all(a is b for a, b in zip(before, now))
            size = len(postorder(now, pending_only=True))
            note = "unchanged" if same else f"{size} nodes"
            trace.write(trace.GRAPHS, f"pass {rewrite.__name__}: {note}")
    return now
