"""Replacing parts of a graph that look like a pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .graph import Graph
from .graph_module import GraphModule
from .node import Node, map_arg
from .tracer import Tracer


@dataclass(frozen=True)
class Match:
    """A place that was replaced: its last node, and which node stands for which of the pattern."""

    anchor: Node
    nodes_map: dict[Node, Any]


def _match(pattern: Any, found: Any, matched: dict[Node, Any]) -> bool:
    """Whether `found` looks like `pattern`, whose placeholders stand for anything; notes which
    node stands for which."""
    if isinstance(pattern, Node):
        if pattern in matched:
            return matched[pattern] is found
        if pattern.op == "placeholder":
            matched[pattern] = found
            return True
        if not isinstance(found, Node) or (pattern.op, pattern.target) != (found.op, found.target):
            return False
        matched[pattern] = found
        return _match(pattern.args, found.args, matched) and _match(
            pattern.kwargs, found.kwargs, matched
        )
    if isinstance(pattern, (tuple, list)):
        same = isinstance(found, (tuple, list)) and len(found) == len(pattern)
        return same and all(_match(p, f, matched) for p, f in zip(pattern, found, strict=True))
    if isinstance(pattern, dict):
        same = isinstance(found, dict) and pattern.keys() == found.keys()
        return same and all(_match(p, found[k], matched) for k, p in pattern.items())
    return type(pattern) is type(found) and bool(pattern == found)


def _graph_of(pattern: Any) -> Graph:
    return pattern if isinstance(pattern, Graph) else Tracer().trace(pattern)


def replace_pattern(gm: GraphModule, pattern: Any, replacement: Any) -> list[Match]:
    """Put what `replacement` does wherever gm's graph does what `pattern` does: functions of the
    same arguments. Gives the places; places that overlap one before are left."""
    looked_for, new = _graph_of(pattern), _graph_of(replacement)
    result = looked_for.output_node().args[0]
    matches: list[Match] = []
    taken: set[Node] = set()
    for node in list(gm.graph.nodes):
        matched: dict[Node, Any] = {}
        if node._erased or not _match(result, node, matched):
            continue
        inner = [f for p, f in matched.items() if p.op != "placeholder"]
        # What is used outside, save the result, must stay.
        inside = set(inner)
        leaks = any(set(f.users) - inside for f in inner if f is not node)
        if leaks or inside & taken:
            continue
        taken |= inside
        _replace(gm.graph, node, looked_for, new, matched)
        matches.append(Match(node, matched))
    gm.recompile()
    return matches


def _replace(
    graph: Graph, node: Node, pattern: Graph, new: Graph, matched: dict[Node, Any]
) -> None:
    given = [matched[n] for n in pattern.nodes if n.op == "placeholder"]
    places = [n for n in new.nodes if n.op == "placeholder"]
    values: dict[Node, Any] = dict(zip(places, given, strict=True))
    with graph.inserting_before(node):
        copied = graph.graph_copy(new, values)
    node.replace_all_uses_with(map_arg(copied, lambda n: n))
    inside = {f for p, f in matched.items() if p.op != "placeholder"}
    for inner in [n for n in reversed(graph.nodes) if n in inside]:
        if not inner.users:
            graph.erase_node(inner)
