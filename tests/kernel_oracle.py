"""Loop kernels read by NumPy, one whole iteration space at a time: the oracle of fusion and
emission."""

from __future__ import annotations

import numpy as np

from twofold.kernels.build import Built
from twofold.ops import scalar_numpy
from twofold.ops.scalar import Expr, postorder

REDUCE = {
    "sum": np.sum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "any": np.any,
    "all": np.all,
}


def run(built: Built, memory: dict[int, np.ndarray]) -> None:
    """Run `built` on flat stored arrays by value number; outputs are written in place."""
    kernel, extents = built.kernel, built.extents
    grid = np.indices(extents) if extents else np.zeros((0,))
    accs: dict[tuple[int, int], np.ndarray] = {}
    n_outer = kernel.n_outer
    inner = tuple(range(n_outer, len(extents)))

    def positions(access: object) -> np.ndarray:
        o = built.operands[access.operand]
        at = np.full(extents, o.offset)
        for axis, stride in enumerate(o.strides):
            at = at + grid[axis] * stride
        return at

    def value(root: Expr) -> np.ndarray:
        values: dict[Expr, np.ndarray] = {}
        for e in postorder(root):
            if e.op == "load":
                at = positions(e.attr)
                o = built.operands[e.attr.operand]
                guard = values[e.args[0]] if e.args else np.ones(extents, bool)
                flat = memory[o.number].reshape(-1)
                taken = flat[np.where(guard, at, 0)] if flat.size else np.zeros(extents)
                held = scalar_numpy.to_held(taken, o.dtype)
                values[e] = np.where(guard, held, np.zeros((), held.dtype))
            elif e.op == "index":
                values[e] = grid[e.attr].astype(np.int64)
            elif e.op == "word":
                values[e] = np.asarray(built.words[e.attr])
            elif e.op == "acc":
                a = accs[e.attr]
                values[e] = a.reshape(a.shape + (1,) * len(inner))
            elif e.op == "const":
                values[e] = np.asarray(e.attr, scalar_numpy.held_dtype(e.dtype))
            else:
                with np.errstate(all="ignore"):
                    values[e] = scalar_numpy._apply(e, [values[a] for a in e.args])
        return np.broadcast_to(values[root], extents)

    for k, stage in enumerate(kernel.stages):
        for i, reduce in enumerate(stage.reductions):
            v = value(reduce.value)
            if reduce.op.startswith("arg"):
                rows = v.reshape(*extents[:n_outer], -1)
                accs[k, i] = getattr(np, reduce.op)(rows, axis=-1)
            else:
                wide = v.astype(np.float64) if v.dtype.kind == "f" else v
                result = REDUCE[reduce.op](wide, axis=inner)
                accs[k, i] = np.asarray(result).astype(v.dtype)
                accs[k, i] = scalar_numpy.rounded(accs[k, i], reduce.value.dtype)
        for store in stage.stores:
            o = built.operands[store.access.operand]
            at, v = positions(store.access), value(store.value)
            flat = memory[o.number].reshape(-1)
            flat[at.reshape(-1)] = scalar_numpy.to_stored(v, o.dtype).reshape(-1)
