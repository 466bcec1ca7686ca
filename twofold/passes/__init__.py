"""Rewrites of the graph before it is cut into kernels: one file a pass, listed in order by
`run`."""

from __future__ import annotations

from collections.abc import Sequence

from .. import config, trace
from ..graph.node import Node, recorder
from ..graph.text import Graph
from ..graph.verify import verify
from ..ops.base import registry
from .bodies import rewrite_bodies
from .complex import split_complex
from .expand import expand
from .join import join
from .layout import pull_permutes
from .simplify import simplify, tidy
from .sink import sink_reshapes
from .transpose import transpose_products
from .vectors import products_of_vectors


def bodies(roots: Sequence[Node]) -> list[Node]:
    """All passes on what is within loops."""
    return rewrite_bodies(roots, run)


PASSES = (
    split_complex,
    simplify,
    bodies,
    join,
    products_of_vectors,
    transpose_products,
    pull_permutes,
    expand,
    tidy,
    sink_reshapes,
    transpose_products,
    tidy,
)


def run(roots: Sequence[Node]) -> list[Node]:
    """The roots after all passes; checked after each where the options ask for it."""
    now = list(roots)
    # Structures of graphs between passes are of no use to recording, so its table does not keep
    # them.
    table, recorder.table = recorder.table, {}
    try:
        return _all(now)
    finally:
        recorder.table = table


def _all(now: list[Node]) -> list[Node]:
    checked = config.current().verify
    shown = trace.at(trace.GRAPHS)
    types = [r.type for r in now]
    if checked:
        verify(now, registry, "recording")
    text = str(Graph(now, "recorded")) if shown else ""
    trace.write(trace.GRAPHS, text)
    for rewrite in PASSES:
        now = rewrite(now)
        if checked:
            verify(now, registry, rewrite.__name__, types)
        if shown:
            before, text = text, str(Graph(now, rewrite.__name__))
            same = before.partition("(")[2] == text.partition("(")[2]
            trace.write(trace.GRAPHS, f"{rewrite.__name__}: unchanged" if same else text)
    return now
