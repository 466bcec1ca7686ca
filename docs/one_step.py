"""Writes `docs/one_step.md`: one training step of an MLP, printed at every stage.

    python docs/one_step.py            write the document
    python docs/one_step.py --check    say whether it is still true; exit code 1 if not

Everything shown is made as the document is made, for one processor (x86-64-v3) and two threads, so
it is the same on every machine, save for the code that other versions of LLVM make.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import llvmlite
import numpy as np

import twofold as tf
from twofold import config, engine, machine, passes
from twofold.codegen.emit import emit
from twofold.codegen.jit import optimize
from twofold.codegen.llvm_target import machine_for
from twofold.explanation import picture
from twofold.graph.node import postorder
from twofold.graph.text import Graph
from twofold.kernels.loops import LoopKernel
from twofold.kernels.matmul import MatmulSpec
from twofold.kernels.memory import PlannedLaunch
from twofold.kernels.text import kernel_text

PATH = Path(__file__).with_suffix(".md")
TARGET = "x86-64-v3"


def train(x: tf.Tensor, y: tf.Tensor, w1: tf.Tensor, w2: tf.Tensor) -> tf.Tensor:
    """One step of gradient descent on a net of two layers."""
    loss = ((x @ w1).relu() @ w2 - y).square().mean()
    loss.backward()
    with tf.no_grad():
        for w in (w1, w2):
            w.sub_(0.1 * w.grad)
            w.grad = None
    return loss.detach()


def _data() -> list[tf.Tensor]:
    rng = np.random.default_rng(0)
    shapes = ((32, 8), (32, 4), (8, 16), (16, 4))
    tensors = [tf.from_numpy(rng.standard_normal(s).astype(np.float32)) for s in shapes]
    return [*tensors[:2], *[w.mul_(0.3).detach().requires_grad_() for w in tensors[2:]]]


def _block(text: str, language: str = "python") -> str:
    return f"```{language}\n{text.strip(chr(10))}\n```\n"


def document() -> tuple[str, str]:
    """The whole text, and its picture."""
    engine.flush()
    with config.override(target=TARGET, threads=2, debug=0):
        return _document()


def _document() -> tuple[str, str]:
    x, y, w1, w2 = _data()
    engine.flush()
    loss = ((x @ w1).relu() @ w2 - y).square().mean()
    forward = str(Graph([loss._node()], "forward"))
    loss.backward()
    n_backward = len(postorder([w1.grad._node(), w2.grad._node()], pending_only=True))
    del loss
    w1.grad = w2.grad = None
    engine.flush()

    result = train(x, y, w1, w2)
    roots = engine.roots_of([])
    recorded = str(Graph(roots, "recorded"))
    planned = engine.plan_graph(roots)
    launches = planned.memory.launches
    shown = _smallest_loop(launches)
    ir_text, assembly = _code(launches[shown])
    parts = [
        _HEAD,
        _block(inspect.getsource(train)),
        _FORWARD,
        _block(forward),
        _BACKWARD.format(n_backward=n_backward),
        _block(recorded),
        _PASSES,
        _passes(roots),
        _KERNELS.format(n=len(launches)),
        _block(_kernels(planned), "text"),
        _PICTURE,
        _LOOPS,
        _block(_loops(launches), "text"),
        _MEMORY,
        _block(_memory(planned), "text"),
        _CODE.format(k=shown, target=TARGET, llvmlite=llvmlite.__version__),
        _block(ir_text, "llvm"),
        _ASSEMBLY,
        _block(assembly, "asm"),
    ]
    legend = [f"{k} {p.source.label}" for k, p in enumerate(launches)]
    drawn = picture(planned, legend)
    # Only now: what has run lets go of its past.
    parts += [_RUN.format(loss=f"{result.item():.6f}"), _block(_again(x, y, w1, w2), "text"), _END]
    return "\n".join(parts), drawn


def _passes(roots: list) -> str:
    """The graph after each pass, or that it is the same."""
    parts, now = [], list(roots)
    text = str(Graph(now, "graph"))
    for run in passes.PASSES:
        now = run(now)
        before, text = text, str(Graph(now, "graph"))
        why = inspect.getdoc(inspect.getmodule(run)).split("\n\n")[0].replace("\n", " ")
        why = why.split(": ", 1)[-1]
        if before == text:
            parts.append(f"`{run.__name__}`: unchanged. ({why})\n")
        else:
            parts.append(f"`{run.__name__}`: {why}\n\n{_block(text)}")
    return "\n".join(parts)


def _kernels(planned: engine.Planned) -> str:
    names = Graph(planned.results).names()
    lines = []
    for k, p in enumerate(planned.memory.launches):
        nodes = " ".join(names[id(n)] for n in p.source.nodes if id(n) in names)
        lines.append(
            f"{k:2d}  {p.source.label:24s} computes {nodes:14s} "
            f"{p.source.n_bytes:6d} bytes {p.source.flops:6d} operations"
        )
    return "\n".join(lines)


def _loops(launches: list[PlannedLaunch]) -> str:
    found = {}
    for p in launches:
        spec = p.spec.finish if isinstance(p.spec, MatmulSpec) else p.spec
        if isinstance(spec, LoopKernel):
            found.setdefault(kernel_text(spec), p.source.label)
    return "\n\n".join(f"{label}:\n{text}" for text, label in found.items())


def _memory(planned: engine.Planned) -> str:
    lines = [f"arena: {planned.memory.arena_bytes} bytes for {planned.memory.temp_bytes} of values"]
    for k, p in enumerate(planned.memory.launches):
        reads = " ".join(b.name or "?" for b in p.source.reads) or "nothing"
        writes = " ".join(b.name or "?" for b in p.source.writes)
        lines.append(f"{k:2d}  {reads} -> {writes}")
        if p.barrier_after:
            lines.append("    --- all threads meet ---")
    return "\n".join(lines)


def _smallest_loop(launches: list[PlannedLaunch]) -> int:
    """The loop kernel of fewest axes."""
    loops = {k: p.spec for k, p in enumerate(launches) if isinstance(p.spec, LoopKernel)}
    return min(loops, key=lambda k: loops[k].n_outer + loops[k].n_inner)


def _code(launch: PlannedLaunch) -> tuple[str, str]:
    """The innermost loop of a kernel as LLVM text after LLVM's passes, and as assembly."""
    target = machine.target_for(TARGET)
    module = emit(launch.spec, target)
    module.triple = target.triple
    optimized = optimize(str(module), target)
    blocks = re.split(r"\n\n", str(optimized))
    loops = [b for block in blocks for b in re.split(r"\n(?=[\w.\"]+:)", block)]
    hot = max(loops, key=lambda b: b.count("load <") * (re.search(r"br i1", b) is not None))
    assembly = machine_for(target).emit_assembly(optimized)
    return _tidy(hot), _hot_assembly(assembly)


def _tidy(text: str) -> str:
    return "\n".join(line.split(" ; preds")[0].rstrip() for line in text.splitlines())


def _hot_assembly(text: str) -> str:
    """The loop of the assembly with most vector arithmetic in it."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        line = line.split("#")[0].rstrip()
        if re.match(r"[.\w]+:", line):
            blocks.append([])
        if line and not re.match(r"\s+\.", line):
            blocks[-1].append(line)

    def score(lines: list[str]) -> int:
        jumps_back = any(line.split()[-1] + ":" == lines[0] for line in lines[1:])
        return jumps_back * sum("ymm" in line for line in lines)

    return "\n".join(max((b for b in blocks if b), key=score))


def _again(*data: tf.Tensor) -> str:
    """What two more steps compile."""
    lines = []
    for step in (2, 3):
        births: list[engine.Birth] = []

        def observe(roots: list, candidates: list, program: engine.Program, values: list) -> None:
            births.append(program.birth)  # noqa: B023

        before = dict(engine.counts)
        engine.observers.append(observe)
        try:
            loss = train(*data).item()
        finally:
            engine.observers.remove(observe)
        compiled = sum(engine.counts.values()) - sum(before.values())
        lines.append(
            f"step {step}: loss {loss:.6f}, {len(births)} program, kernels looked up: {compiled}"
        )
    return "\n".join(lines)


_HEAD = """\
# One training step, from Python to assembly

This page follows one step of gradient descent through every stage of Twofold. It is written by
`python docs/one_step.py` from what happens, and a test makes it anew. The same stages of your own
program are printed by `TWOFOLD_DEBUG=1` (stages and times) to `6` (assembly), and by
`twofold.explain`.

## 1. Python
"""
_FORWARD = """\
## 2. Nodes

Each operation on a tensor makes a node, and nothing else: no arithmetic is done. A node's shape and
dtype come from its op's rule at once, so a mistake is told at its own line. The first line of the
function leaves this; `x0` to `x3` are the arrays, and the text can be read back with
`twofold.graph.text.parse`.
"""
_BACKWARD = """\
## 3. The gradient is more nodes

`loss.backward()` walks from the loss to the parameters and calls each op's gradient rule, which
makes nodes in turn ({n_backward} with those of the forward pass). Nothing has run yet. The update,
`w.sub_`, does not change a value: it lets the parameter's storage show another one. So the whole
step is one graph, whose results are the loss and the new parameters:
"""
_PASSES = """\
## 4. Passes

At `.item()` a value is asked for. The graph's structural key, which was made as the nodes were, is
looked up. It is not known yet, so the graph is compiled. Passes rewrite it, in this order:
"""
_KERNELS = """\
## 5. Kernels

The graph is cut into kernels. Products run from templates with register tiles, and elementwise work
on a product (an activation, its gradient, the update of a weight) is done tile by tile as the sums
are complete; everything else is fused into loops: a node is computed where it is read, unless its
value must lie in memory. Here are the {n} launches, with the names of the last graph above:
"""
_PICTURE = """\
![The graph, one colour for each kernel](one_step.svg)
"""
_LOOPS = """\
## 6. Loop nests

The loop kernels, and what is done with products, as nests. `a`, `b`, ... are operands, `:` marks a
stride given at run time (so that other sizes need no new kernel), `*lanes` the axis that vector
lanes lie along:
"""
_MEMORY = """\
## 7. Memory and threads

Temporaries share one arena by when they live. All threads walk the same list of launches, take work
items from a shared counter, and meet where one launch needs what another wrote:
"""
_CODE = """\
## 8. LLVM

Each kernel becomes LLVM IR, already with vectors, through llvmlite's builder. This is the inner
loop of launch {k} for {target}, after LLVM's own passes (llvmlite {llvmlite}):
"""
_ASSEMBLY = """\
## 9. Assembly

And the same loop as machine code, which is kept in memory and on disk under the kernel's
description:
"""
_RUN = """\
## 10. The run

The plan, a flat list of launches over planned memory, runs in one native call. The loss is {loss}.
The next steps record the same structure and find it by its key, so nothing is compiled or looked
up:
"""
_END = """\
A captured step (`twofold.compile(train)`) skips stages 2 to 4 as well: its calls put new arrays
into the plan and run it.
"""


def same(written: str, made: str) -> bool:
    """Whether two versions say the same; code is compared only for one version of LLVM."""
    version = re.compile(r"llvmlite ([\w.]+)")
    a, b = version.search(written), version.search(made)
    if a is None or b is None or a[1] != b[1]:
        code = re.compile(r"\(llvmlite.*?(?=## 10)", re.S)
        written, made = code.sub("", written), code.sub("", made)
    return written == made


def main(arguments: list[str]) -> int:
    """Write the document and its picture, or check them."""
    made, drawn = document()
    picture_path = PATH.with_suffix(".svg")
    if "--check" in arguments:
        current = picture_path.read_text(encoding="utf-8") == drawn
        return int(not (current and same(PATH.read_text(encoding="utf-8"), made)))
    PATH.write_text(made, encoding="utf-8")
    picture_path.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
