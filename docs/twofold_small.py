"""Twofold in the small: the whole design on a few screens, for reading from top to bottom.

Run it: `python docs/twofold_small.py` trains a little net and says what was compiled. Everything is
here in its simplest form: lazy nodes, a structural key, gradients from graph to graph, fusion, code
through llvmlite, a cached plan. The real thing lives in `twofold/`; each section names its place
there, and the last one says what the small model leaves out.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

# 1. Nodes (twofold/graph/). A node is one use of an op. It never changes, save that it gets its
# value.


class Node:
    """`op(*inputs)` with attributes, of a shape; all numbers are float32."""

    def __init__(self, op: str, inputs: tuple[Node, ...], attrs: tuple, shape: tuple) -> None:
        self.op, self.inputs, self.attrs, self.shape = op, inputs, attrs, shape
        self.value: np.ndarray | None = None


def leaf(value: object) -> Node:
    """A node that has its value from the start: an array, or a number that may differ next time."""
    array = np.asarray(value, np.float32, order="C")
    node = Node("leaf", (), (), array.shape)
    node.value = array
    return node


def postorder(roots: list[Node]) -> list[Node]:
    """Every node below `roots` once, inputs before users; what has a value counts as a leaf."""
    order, seen, stack = [], set(), [(r, False) for r in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            if node.value is None:
                stack += [(x, False) for x in reversed(node.inputs)]
    return order


def structural_key(roots: list[Node]) -> tuple[tuple, list[Node]]:
    """What two graphs have in common if one program serves both, and the leaves in order.

    Twofold keeps a key in every node, made when the node is made, so that nothing is walked here.
    """
    number: dict[int, int] = {}
    parts, leaves = [], []
    for node in postorder(roots):
        number[id(node)] = len(number)
        if node.value is not None:
            leaves.append(node)
            parts.append(("leaf", node.shape))
        else:
            parts.append((node.op, node.attrs, node.shape, *[number[id(x)] for x in node.inputs]))
    return (tuple(parts), tuple(number[id(r)] for r in roots)), leaves


# 2. Ops (twofold/ops/). Each states its gradient, in nodes, and its code for one element. Two
# others, `expand` and `sum`, move indices; with them a product of matrices needs no op of its own.


def make(op: str, *inputs: Node) -> Node:
    """An elementwise node; inputs of lower rank are broadcast over the first axes."""
    shape = max((x.shape for x in inputs), key=len)
    wide = []
    for x in inputs:
        if x.shape != shape:
            axes = tuple(range(len(shape) - len(x.shape), len(shape)))
            if tuple(shape[a] for a in axes) != x.shape:
                raise RuntimeError(f"[{op}] shapes must match; got {[x.shape for x in inputs]}")
            x = expand(x, shape, axes)
        wide.append(x)
    return Node(op, tuple(wide), (), shape)


def expand(x: Node, shape: tuple, axes: tuple) -> Node:
    """y[i] = x[i[axes]]: broadcasts over the axes not named, and permutes."""
    return Node("expand", (x,), (axes,), shape)


def sum_(x: Node, axes: tuple) -> Node:
    """y = x summed over `axes`."""
    kept = tuple(n for a, n in enumerate(x.shape) if a not in axes)
    return Node("sum", (x,), (axes,), kept)


def matmul(a: Node, b: Node) -> Node:
    """y[m, n] = sum over k of a[m, k] b[k, n]."""
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise RuntimeError(f"[matmul] inner sizes must be equal; got {a.shape} and {b.shape}")
    shape = (a.shape[0], b.shape[1], a.shape[1])
    return sum_(make("mul", expand(a, shape, (0, 2)), expand(b, shape, (2, 1))), (2,))


def expand_gradient(y: Node, g: Node) -> list[Node]:
    """Sum over the axes that were made, and put the others in their old order."""
    (axes,) = y.attrs
    made = tuple(a for a in range(len(y.shape)) if a not in axes)
    g = sum_(g, made) if made else g
    order = sorted(axes)
    return [expand(g, y.inputs[0].shape, tuple(axes.index(a) for a in order))]


def sum_gradient(y: Node, g: Node) -> list[Node]:
    """The same gradient for everything that was summed."""
    x, (axes,) = y.inputs[0], y.attrs
    return [expand(g, x.shape, tuple(a for a in range(len(x.shape)) if a not in axes))]


GRADIENTS: dict[str, Callable[[Node, Node], list[Node | None]]] = {
    "add": lambda y, g: [g, g],
    "sub": lambda y, g: [g, make("mul", g, leaf(-1.0))],
    "mul": lambda y, g: [make("mul", g, y.inputs[1]), make("mul", g, y.inputs[0])],
    "exp": lambda y, g: [make("mul", g, y)],
    "relu": lambda y, g: [make("mul", g, make("step", y))],
    "step": lambda y, g: [None],
    "expand": expand_gradient,
    "sum": sum_gradient,
}

CODE: dict[str, Callable[..., ir.Value]] = {
    "add": lambda b, x, y: b.fadd(x, y),
    "sub": lambda b, x, y: b.fsub(x, y),
    "mul": lambda b, x, y: b.fmul(x, y),
    "exp": lambda b, x: b.call(b.module.declare_intrinsic("llvm.exp", [F32]), [x]),
    "relu": lambda b, x: b.select(b.fcmp_ordered(">", x, F32(0)), x, F32(0)),
    "step": lambda b, x: b.uitofp(b.fcmp_ordered(">", x, F32(0)), F32),
}


# 3. Gradients (twofold/autograd/): from nodes to nodes, so they can be differentiated again.


def gradients(loss: Node, wanted: list[Node]) -> list[Node | None]:
    """The gradient of `loss`, a number, by each of `wanted`."""
    found: dict[int, Node] = {id(loss): leaf(np.ones(loss.shape))}
    for node in reversed(postorder([loss])):
        g = found.get(id(node))
        if g is None or node.value is not None:
            continue
        for x, part in zip(node.inputs, GRADIENTS[node.op](node, g)):
            if part is not None:
                found[id(x)] = make("add", found[id(x)], part) if id(x) in found else part
    return [found.get(id(w)) for w in wanted]


# 4. Fusion (twofold/kernels/). Leaves, results and sums lie in memory; all else is computed where
# it is read. So a kernel is: for each element of a value in memory, an expression of other values
# in memory, summed over the reduced axes if the value is a sum.


def in_memory(roots: list[Node]) -> list[Node]:
    """The values that get a kernel, in an order that serves each before it is read."""
    ends = {id(r) for r in roots}
    return [n for n in postorder(roots) if n.value is None and (n.op == "sum" or id(n) in ends)]


# 5. Code (twofold/codegen/): one function for each kernel, kernel(ptr to the buffers' addresses).

F32, I64, PTR = ir.FloatType(), ir.IntType(64), ir.PointerType()


class Emitter:
    """Emits the kernel of one node; `slot` numbers the buffers of what lies in memory."""

    def __init__(self, node: Node, slot: dict[int, int], name: str, module: ir.Module) -> None:
        self.slot = slot
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [PTR]), name)
        self.buffers = function.args[0]
        self.b = ir.IRBuilder(function.append_basic_block("entry"))
        self.loops(node.shape, [], lambda index: self.store(node, index))
        self.b.ret_void()

    def loops(self, extents: tuple, index: list, body: Callable[[list], None]) -> None:
        """Nested loops over `extents`, the last innermost, around `body(index)`."""
        if not extents:
            return body(index)
        b, before = self.b, self.b.block
        head, after = b.append_basic_block("head"), b.append_basic_block("after")
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(I64(0), before)
        self.loops(extents[1:], [*index, i], body)
        following = b.add(i, I64(1))
        i.add_incoming(following, b.block)
        b.cbranch(b.icmp_signed("<", following, I64(extents[0])), head, after)
        b.position_at_end(after)

    def store(self, node: Node, index: list) -> None:
        """Compute one element of `node` into its buffer."""
        b, (x,) = self.b, node.inputs if node.op == "sum" else (None,)
        target = self.address(node, index)
        if node.op != "sum":
            b.store(self.compute(node, index), target)
            return
        (axes,) = node.attrs
        b.store(F32(0), target)

        def accumulate(inner: list) -> None:
            full, kept, reduced = [], iter(index), iter(inner)
            for a in range(len(x.shape)):
                full.append(next(reduced) if a in axes else next(kept))
            b.store(b.fadd(b.load(target, typ=F32), self.value(x, full)), target)

        self.loops(tuple(x.shape[a] for a in axes), [], accumulate)

    def address(self, node: Node, index: list) -> ir.Value:
        """Where an element of a value in memory lies."""
        b, flat = self.b, I64(0)
        for i, n in zip(index, node.shape):
            flat = b.add(b.mul(flat, I64(n)), i)
        place = b.gep(self.buffers, [I64(self.slot[id(node)])], source_etype=PTR)
        return b.gep(b.load(place, typ=PTR), [flat], source_etype=F32)

    def value(self, node: Node, index: list) -> ir.Value:
        """An element of `node`: loaded if it lies in memory, else computed here. This is fusion."""
        if id(node) in self.slot:
            return self.b.load(self.address(node, index), typ=F32)
        return self.compute(node, index)

    def compute(self, node: Node, index: list) -> ir.Value:
        if node.op == "expand":
            return self.value(node.inputs[0], [index[a] for a in node.attrs[0]])
        return CODE[node.op](self.b, *[self.value(x, index) for x in node.inputs])


def compile_module(module: ir.Module, names: list[str]) -> list[Callable[[int], None]]:
    """Machine code for the functions of a module."""
    machine = llvm.Target.from_default_triple().create_target_machine(opt=3)
    parsed = llvm.parse_assembly(str(module))
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)
    engine = llvm.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    functions = [kind(engine.get_function_address(name)) for name in names]
    for function in functions:
        function.engine = engine  # keeps the code alive
    return functions


# 6. Programs (twofold/engine.py): compiled once for each structure, then found by their key.


class Program:
    """Kernels in order, over buffers numbered: leaves, then what the kernels fill."""

    def __init__(self, roots: list[Node], leaves: list[Node]) -> None:
        kernels = in_memory(roots)
        slot = {id(n): k for k, n in enumerate([*leaves, *kernels])}
        module = ir.Module()
        names = [f"kernel{k}" for k in range(len(kernels))]
        for node, name in zip(kernels, names):
            Emitter(node, slot, name, module)
        self.text = str(module)
        self.functions = compile_module(module, names)
        self.shapes = [n.shape for n in kernels]
        self.results = [slot[id(r)] for r in roots]

    def run(self, leaves: list[Node]) -> list[np.ndarray]:
        """The values of the roots."""
        arrays = [n.value for n in leaves] + [np.empty(s, np.float32) for s in self.shapes]
        buffers = (ctypes.c_void_p * len(arrays))(*[a.ctypes.data for a in arrays])
        for function in self.functions:
            function(ctypes.addressof(buffers))
        return [arrays[k] for k in self.results]


programs: dict[tuple, Program] = {}
live: weakref.WeakSet[Tensor] = weakref.WeakSet()


def flush() -> None:
    """Run all that is pending and still referenced, as one program."""
    nodes = {id(t.node): t.node for t in sorted(live, key=lambda t: t.born) if t.node.value is None}
    roots = list(nodes.values())
    if not roots:
        return
    key, leaves = structural_key(roots)
    if key not in programs:
        programs[key] = Program(roots, leaves)
    for root, value in zip(roots, programs[key].run(leaves)):
        root.value, root.inputs = value, ()


# 7. Tensors (twofold/tensor.py): what the user holds.


class Tensor:
    """A number or an array that records what is computed with it, and runs it when looked at."""

    count = 0

    def __init__(self, value: object) -> None:
        self.node = value if isinstance(value, Node) else leaf(value)
        self.grad: Tensor | None = None
        Tensor.count += 1
        self.born = Tensor.count
        live.add(self)

    def _with(self, op: str, other: object) -> Tensor:
        return Tensor(make(op, self.node, other.node if isinstance(other, Tensor) else leaf(other)))

    def __add__(self, other: object) -> Tensor:
        return self._with("add", other)

    def __sub__(self, other: object) -> Tensor:
        return self._with("sub", other)

    def __mul__(self, other: object) -> Tensor:
        return self._with("mul", other)

    def __matmul__(self, other: Tensor) -> Tensor:
        return Tensor(matmul(self.node, other.node))

    def relu(self) -> Tensor:
        """max(x, 0)"""
        return Tensor(make("relu", self.node))

    def exp(self) -> Tensor:
        """e to the x"""
        return Tensor(make("exp", self.node))

    def sum(self) -> Tensor:
        """The sum of all elements"""
        return Tensor(sum_(self.node, tuple(range(len(self.node.shape)))))

    def backward(self, parameters: list[Tensor]) -> None:
        """Set `grad` of the parameters: nodes, which nobody has run yet."""
        for p, g in zip(parameters, gradients(self.node, [p.node for p in parameters])):
            p.grad = None if g is None else Tensor(g)

    def assign(self, other: Tensor) -> None:
        """Let this tensor show another value; values themselves never change."""
        self.node = other.node

    def numpy(self) -> np.ndarray:
        """The values. Looking makes everything pending run."""
        flush()
        return self.node.value


def train(steps: int = 300) -> list[float]:
    """Teach a net of two layers whether two signs are equal; gives the loss of every step."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 2))
    y = np.sign(x[:, :1] * x[:, 1:])
    x, y = Tensor(x), Tensor(y)
    w1, b1 = Tensor(rng.standard_normal((2, 16))), Tensor(np.zeros(16))
    w2, b2 = Tensor(rng.standard_normal((16, 1)) * 0.3), Tensor(np.zeros(1))
    parameters = [w1, b1, w2, b2]
    losses = []
    for step in range(steps):
        error = (x @ w1 + b1).relu() @ w2 + b2 - y
        loss = (error * error).sum() * (1 / 64)
        loss.backward(parameters)
        rate = 0.1 / (1 + step / 200)  # a number that changes with each step: no new program
        for p in parameters:
            p.assign(p - p.grad * rate)
            p.grad = None
        losses.append(float(loss.numpy()))  # forward, backward and update run here, as one program
    return losses


# 8. What is left out: dtypes, views and writes through them, sizes as run-time arguments, passes,
# groups of values in one kernel, schedules with vectors and threads, products and convolutions as
# register tiles, an arena planned for the whole program, kernels on disk, errors at the user's
# line.

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

if __name__ == "__main__":
    losses = train()
    for step in range(0, len(losses), 50):
        print(f"step {step:3d}  loss {losses[step]:.4f}")
    n_kernels = sum(len(p.functions) for p in programs.values())
    print(f"{len(losses)} steps; programs compiled: {len(programs)}, of {n_kernels} kernels")
