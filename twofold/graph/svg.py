"""A graph as a picture: layers from inputs to results, one colour for each kernel.

The drawing is the usual layered one (Sugiyama, Tagawa and Toda, 1981): a node stands one layer
below its lowest input; an edge over several layers gets a joint in each; the order within a layer
is that of the mean place of the neighbours, swept down and up a few times; then places are spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .node import Node, is_given, postorder
from .text import Graph, call_text

BOX_HEIGHT, LAYER_GAP, BOX_GAP, JOINT_WIDTH, MARGIN = 40, 34, 18, 8, 20
SWEEPS = 6
_CHARACTER = 6.7
"""Width of a character of the 11-pixel type."""


@dataclass(eq=False)
class _Box:
    """A node, or (without lines) a joint of a long edge."""

    lines: list[str]
    node: Node | None
    layer: int
    width: float = JOINT_WIDTH
    x: float = 0.0
    above: list[_Box] = field(default_factory=list)
    below: list[_Box] = field(default_factory=list)

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def draw(
    roots: Sequence[Node],
    kernel_of: Mapping[int, int] | None = None,
    kernels: Sequence[str] = (),
) -> str:
    """The SVG of the graph below `roots`. `kernel_of` gives the kernel of a node by its id, and
    `kernels` what each is called; nodes of one kernel have one colour."""
    kernel_of = kernel_of or {}
    layers = _layers(roots)
    _order(layers)
    width = max(_place(layers), 360)
    n_legend = len(kernels)
    height = MARGIN * 2 + len(layers) * (BOX_HEIGHT + LAYER_GAP) - LAYER_GAP + 20 * n_legend
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" font-family="monospace" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for layer in layers:
        for box in layer:
            parts += [_edge(box, to) for to in box.below]
    targets = {id(r) for r in roots}
    for layer in layers:
        for box in layer:
            if box.node is not None:
                parts.append(_box(box, kernel_of.get(id(box.node)), id(box.node) in targets))
    top = height - 20 * n_legend - MARGIN / 2
    for k, text in enumerate(kernels):
        y = top + 20 * k
        parts.append(
            f'<rect x="{MARGIN}" y="{y:.0f}" width="14" height="14" rx="3" fill="{_colour(k)}" '
            f'stroke="#555"/><text x="{MARGIN + 22}" y="{y + 11:.0f}">{escape(text)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def escape(text: str) -> str:
    """`text` as XML takes it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _layers(roots: Sequence[Node]) -> list[list[_Box]]:
    """Boxes layer by layer, with joints, edges set."""
    graph = Graph(list(roots))
    names = graph.names()
    order = [n for n in postorder(roots, pending_only=True) if id(n) in names]
    layer_of = _layer_numbers(order)
    boxes: dict[int, _Box] = {}
    layers: list[list[_Box]] = []

    def put(box: _Box) -> _Box:
        while len(layers) <= box.layer:
            layers.append([])
        layers[box.layer].append(box)
        return box

    for node in order:
        leaf = is_given(node)
        inputs = [] if leaf else [boxes[id(x)] for x in node.inputs if id(x) in boxes]
        layer = layer_of[id(node)]
        name = names[id(node)]
        call = name if leaf else f"{name} = {_short(call_text(node, names))}"
        lines = [call, repr(node.type)]
        box = put(_Box(lines, node, layer, max(map(len, lines)) * _CHARACTER + 14))
        boxes[id(node)] = box
        for source in inputs:
            at = source
            for k in range(source.layer + 1, layer):
                joint = put(_Box([], None, k))
                _join(at, joint)
                at = joint
            _join(at, box)
    return layers


def _layer_numbers(order: Sequence[Node]) -> dict[int, int]:
    """One below the lowest input; what has no input, one above its first user."""
    found: dict[int, int] = {}
    first_use: dict[int, int] = {}
    sources = []
    for node in order:
        inputs = [] if node.value is not None else [x for x in node.inputs if id(x) in found]
        layer = found[id(node)] = 1 + max((found[id(x)] for x in inputs), default=-1)
        for x in inputs:
            first_use[id(x)] = min(layer, first_use.get(id(x), layer))
        if not inputs:
            sources.append(node)
    for node in sources:
        found[id(node)] = max(0, first_use.get(id(node), 1) - 1)
    return found


def _join(above: _Box, below: _Box) -> None:
    if below not in above.below:
        above.below.append(below)
        below.above.append(above)


def _short(text: str) -> str:
    return text if len(text) <= 44 else text[:41] + "..."


def _order(layers: list[list[_Box]]) -> None:
    """Sort each layer by the mean place of its neighbours, going down and up."""
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        at: dict[int, float] = {}  # places of the boxes of the layer before
        for layer in layers if down else reversed(layers):
            place: dict[int, float] = {}
            for k, box in enumerate(layer):
                near = box.above if down else box.below
                own = k / max(1, len(layer) - 1)
                place[id(box)] = sum(at[id(b)] for b in near) / len(near) if near else own
            layer.sort(key=lambda box: place[id(box)])
            at = {id(box): k / max(1, len(layer) - 1) for k, box in enumerate(layer)}


def _place(layers: list[list[_Box]]) -> float:
    """Set every x: side by side, then towards the neighbours without overlap. Gives the width."""
    for layer in layers:
        x = float(MARGIN)
        for box in layer:
            box.x = x
            x += box.width + BOX_GAP
    for sweep in range(SWEEPS * 2):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = []
            for box in layer:
                near = [*box.above, *box.below]
                middle = sum(b.middle for b in near) / len(near) if near else box.middle
                wanted.append(middle - box.width / 2)
            _spread(layer, wanted)
    left = min(box.x for layer in layers for box in layer)
    for layer in layers:
        for box in layer:
            box.x += MARGIN - left
    return max(box.x + box.width for layer in layers for box in layer) + MARGIN


def _spread(layer: list[_Box], wanted: list[float]) -> None:
    """Put boxes as near to where they want as their order and width allow: boxes that would overlap
    form a block, which stands at the mean of its members' wishes."""
    blocks: list[tuple[float, float, list[_Box]]] = []  # sum of starts wished for, width, boxes
    for box, want in zip(layer, wanted):
        total, width, members = want, box.width + BOX_GAP, [box]
        while blocks:
            before, before_width, before_members = blocks[-1]
            if before / len(before_members) + before_width <= total / len(members):
                break
            blocks.pop()
            total = before + total - before_width * len(members)
            width += before_width
            members = before_members + members
        blocks.append((total, width, members))
    for total, _, members in blocks:
        x = total / len(members)
        for box in members:
            box.x = x
            x += box.width + BOX_GAP


def _top(box: _Box) -> float:
    return MARGIN + box.layer * (BOX_HEIGHT + LAYER_GAP)


def _edge(above: _Box, below: _Box) -> str:
    start, end = _top(above) + BOX_HEIGHT, _top(below)
    bend = (end - start) / 2
    path = (
        f"M{above.middle:.1f},{start:.0f} C{above.middle:.1f},{start + bend:.0f} "
        f"{below.middle:.1f},{end - bend:.0f} {below.middle:.1f},{end:.0f}"
    )
    if below.node is None:
        path += f" V{end + BOX_HEIGHT:.0f}"
    return f'<path d="{path}" fill="none" stroke="#888"/>'


def _colour(kernel: int) -> str:
    """A light colour, far from those of the neighbouring numbers."""
    return f"hsl({kernel * 137.5 % 360:.0f}, 65%, {86 - 8 * (kernel // 12 % 3)}%)"


def _box(box: _Box, kernel: int | None, is_root: bool) -> str:
    y = _top(box)
    fill = "#f4f4f4" if kernel is None else _colour(kernel)
    leaf = kernel is None
    parts = [
        f'<rect x="{box.x:.1f}" y="{y}" width="{box.width:.1f}" height="{BOX_HEIGHT}" '
        f'rx="{14 if leaf else 4}" fill="{fill}" stroke="{"#000" if is_root else "#555"}" '
        f'stroke-width="{2.2 if is_root else 1}"/>'
    ]
    for k, line in enumerate(box.lines):
        parts.append(
            f'<text x="{box.middle:.1f}" y="{y + 16 + 15 * k}" text-anchor="middle"'
            f"{' fill=' + chr(34) + '#555' + chr(34) if k else ''}>{escape(line)}</text>"
        )
    return "".join(parts)
