"""ONNX models beside ONNX Runtime: equal outputs, and the time of a call.

    python -m bench.onnx_models MODEL.onnx... [--size NAME=N] [--threads 2]

Inputs are random. Sizes that a model leaves open are 1 unless `--size` names them, as INPUT.AXIS
where the model has no name; whole numbers without axes are 16000 (a sampling rate). Both run in
this process, in turn; medians are compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from twofold import config, onnx

ROUNDS, CALLS = 3, 15


def _inputs(session: object, sizes: dict[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs of a model, as ONNX Runtime describes them."""
    generator = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {}
    for spec in session.get_inputs():  # type: ignore[attr-defined]
        shape = [
            n if isinstance(n, int) else sizes.get(n or f"{spec.name}.{axis}", 1)
            for axis, n in enumerate(spec.shape)
        ]
        if "int" in spec.type:
            kind = np.int64 if "64" in spec.type else np.int32
            high = 257 if shape else 16001
            made[spec.name] = generator.integers(0 if shape else 16000, high, shape, kind)
        else:
            dtype = np.float16 if "float16" in spec.type else np.float32
            made[spec.name] = (generator.standard_normal(shape) * 0.1).astype(dtype)
    return made


def _median(call: Callable[[], object]) -> float:
    times = []
    for _ in range(CALLS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return sorted(times)[CALLS // 2]


def compare(path: str, sizes: dict[str, int], threads: int) -> str:
    """A line for one model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(path, options)
    inputs = _inputs(session, sizes)
    with config.override(threads=threads):
        begin = time.perf_counter()
        model = onnx.load(path)
        ours, theirs = model.run(None, inputs), session.run(None, inputs)
        first = time.perf_counter() - begin
        worst = max(float(np.abs(a.astype(float) - b).max()) for a, b in zip(ours, theirs))
        for _ in range(4):
            model.run(None, inputs)
        pairs = [
            (_median(lambda: model.run(None, inputs)), _median(lambda: session.run(None, inputs)))
            for _ in range(ROUNDS)
        ]
    a, b = (sorted(column)[ROUNDS // 2] for column in zip(*pairs))
    return (
        f"{path.rsplit('/', 1)[-1]:32s} largest difference {worst:.1e}   Twofold {1e3 * a:8.3f} ms"
        f"   ONNX Runtime {1e3 * b:8.3f} ms   {b / a:.2f}x   first call {first:.2f} s"
    )


def main() -> None:
    """Compare the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--size", action="append", default=[])
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    sizes = {name: int(n) for name, _, n in (text.partition("=") for text in given.size)}
    for path in given.models:
        print(compare(path, sizes, given.threads), flush=True)


if __name__ == "__main__":
    main()
