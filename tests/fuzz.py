"""Random programs, as lines of Python, and how they are run, compared and made smaller.

A program makes tensors, combines them, views them, writes through the views, looks at values half
way, and goes backward. It is run by the references alone, compiled with everything pending as long
as it can be, and compiled line by line. The two compiled runs must agree
bit for bit, for fusing changes nothing; the references must agree bit for bit where all that went
before is exact (`Program.exact`), elsewhere nearly.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import twofold as tf
from twofold import config, dtypes, engine
from twofold.tensor import Tensor

FLOATS = ["float32", "float64", "float16", "bfloat16"]
INTEGERS = ["int64", "int32", "uint8", "int8", "int16"]
SHAPES = [
    (), (1,), (3,), (4,), (7,), (2, 3), (3, 3), (3, 1), (1, 4), (4, 3), (2, 3, 4), (3, 2, 1),
    (0,), (2, 0), (17,), (33, 5), (2, 1, 3, 2), (130,), (1100,),
]  # fmt: skip

EXACT_UNARY = [
    "-{x}", "{x}.abs()", "{x} * 2", "{x} + 1", "1 - {x}", "{x}.sign()", "{x}.clamp(-1, 1)",
    "{x}.clone()", "{x} > 0", "{x} == {x}", "{x}.square()", "tf.where({x} > 0, {x}, -{x})",
    "{x}.contiguous()", "{x}.relu()", "tf.zeros_like({x})", "tf.ones_like({x})",
]  # fmt: skip
EXACT_FLOAT_UNARY = [
    "{x}.floor()", "{x}.ceil()", "{x}.trunc()", "{x}.round()", "{x} * 0.5", "{x}.isnan()",
    "{x}.frac()", "{x} / 2", "{x}.detach()", "{x} * 0.375",
]  # fmt: skip
INEXACT_UNARY = [
    "{x}.clamp(-3, 3).exp()", "{x}.sin()", "{x}.cos()", "{x}.tanh()", "{x}.sigmoid()",
    "({x}.abs() + 1).log()", "({x}.abs() + 1).sqrt()", "({x}.abs() + 1).rsqrt()", "{x}.erf()",
    "1 / ({x}.abs() + 1)", "({x}.abs() + 1) ** 0.7", "{x}.atan()", "{x}.clamp(-3, 3).expm1()",
]  # fmt: skip
BOOL_UNARY = ["~{x}", "{x}.logical_not()", "{x}.to(tf.int64)", "{x}.clone()", "{x}.to(tf.float32)"]
EXACT_BINARY = [
    "{x} + {y}", "{x} - {y}", "{x} * {y}", "tf.maximum({x}, {y})", "tf.minimum({x}, {y})",
    "{x} < {y}", "{x} >= {y}", "{x} != {y}", "tf.where({x} > {y}, {x}, {y})", "{x} + {y} * 2",
    "({x} > {y}) | ({x} == {y})",
]  # fmt: skip
INEXACT_BINARY = ["{x} / ({y}.abs() + 1)", "({x} - {y}).tanh()", "tf.atan2({x}, {y}.abs() + 1)"]
INTEGER_BINARY = [
    "{x} & {y}", "{x} | {y}", "{x} ^ {y}", "{x} // ({y}.abs() * 2 + 1)",
    "{x} % ({y}.abs() * 2 + 1)",
]  # fmt: skip
EXACT_REDUCTIONS = ["{x}.amax({d})", "{x}.amin({d})", "{x}.argmax({d})", "{x}.argmin({d})"]
INEXACT_REDUCTIONS = [
    "{x}.sum({d})", "{x}.mean({d})", "{x}.sum({d}, keepdim=True)", "{x}.var({d}, unbiased=False)",
    "{x}.softmax({d})", "{x}.log_softmax({d})", "{x}.logsumexp({d})", "{x} - {x}.mean({d}, True)",
    "{x}.cumsum({d})", "{x}.clamp(-1.5, 1.5).prod({d})", "({x} * {x}).sum()", "{x}.sum()",
    "{x}.norm()",
]  # fmt: skip
SORTS = ["{x}.sort({d})[0]", "{x}.argsort({d}, stable=True)", "{x}.topk(1, {d})[0]"]
VIEWS = [
    "{x}.transpose({d}, {e})", "{x}.unsqueeze({d})", "{x}.select({d}, 0)", "{x}.flip({d})",
    "{x}.narrow({d}, 0, 1)", "{x}.movedim({d}, {e})", "{x}.reshape(-1)", "{x}.unsqueeze(-1)",
    "{x}[..., ::2]", "{x}[1:]", "{x}[-1]", "{x}[None]", "{x}[:, 0]", "{x}[..., 1:]",
    "{x}.squeeze()", "{x}.expand(2, *{x}.shape)", "{x}.T", "{x}.diagonal()",
    "{x}.unfold({d}, 2, 1)", "{x}.reshape(*reversed({x}.shape))", "{x}.swapaxes({d}, {e})",
    "{x}.chunk(2, {d})[-1]", "{x}.t()", "{x}.broadcast_to(3, *{x}.shape)", "{x}.roll(1, {d})",
    "{x}.repeat(2, *{x}.shape)",
]  # fmt: skip
ARRANGED = [
    "tf.cat([{x}, {y}], {d})", "tf.stack([{x}, {y}], {d})", "{x} @ {y}", "{x} @ {y}.T",
    "{x}.gather({d}, tf.zeros_like({x}, dtype=tf.int64))", "{x}[tf.tensor([0, -1, 0])]",
    "{x}.index_select({d}, tf.tensor([0, 0]))", "{x}[..., tf.tensor([True])]", "{x}[{x} > 0]",
    "{x}.tril()", "{x}.triu(1)", "tf.outer({x}, {y})", "{x}.masked_fill({x} > 0, 0.25)",
]  # fmt: skip
WRITES = [
    "{x}.add_({y})", "{x}.mul_({y})", "{x}.zero_()", "{x}.fill_(0.5)", "{x}.copy_({y})",
    "{x}[0] = {y}", "{x}[..., 0] = 1", "{x}[1:] += 1", "{x}[..., ::2] = {y}", "{x} += {y}",
    "{x}[{x} > 0] = 0.5", "{x}.clamp_(-1, 1)", "{x}[-1].mul_(2)", "{x}[:, 0].add_(1)",
    "{x}.neg_()", "{x}.T.add_(1)", "{x}[tf.tensor([0])] = {y}", "{x}.masked_fill_({x} < 0, 0.25)",
    "{x}.index_add_(0, tf.tensor([0, 0]), {x}[:1].expand(2, *{x}.shape[1:]).clone())",
    "{x}.transpose({d}, {e}).copy_({y})", "{x}.diagonal().zero_()", "poke({x})",
]  # fmt: skip
INEXACT_WRITES = ["{x}.sub_({y}.mean())", "{x}.tanh_()", "{x}.div_({x}.abs() + 2)"]
LOOKS = ["look({x})", "{x}.sum().item()", "repr({x})"]
BACKWARD = ["backward({x})", "backward(({x} * {x}).sum())", "backward({x}.float().mean())"]
RANDOM = [
    "tf.rand(3, 4)",
    "tf.randn(5)",
    "tf.randint(0, 5, (7,))",
    "tf.nn.functional.dropout({x}, 0.5, True)",
]


@dataclass
class Program:
    """Lines that bind v0, v1, ...; the names whose values are exact in every run."""

    lines: list[str] = field(default_factory=list)
    exact: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return "\n".join(self.lines)


def leaf(seed: int, shape: Sequence[int], dtype: str, requires_grad: bool = False) -> Tensor:
    """A tensor of small integers, small multiples of 1/8 (with which sums stay exact), or, where
    the seed is odd, of any floats (with which the order of sums shows)."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return tf.tensor(rng.integers(0, 2, shape).astype(bool))
    low = 0 if dtype == "uint8" else -9
    values = rng.integers(low, 10, shape)
    if dtype in FLOATS:
        wide = rng.standard_normal(shape) if seed % 2 else values / 8
        made = tf.tensor(wide, dtype=getattr(tf, dtype))
        return made.requires_grad_() if requires_grad else made
    return tf.tensor(values, dtype=getattr(tf, dtype))


def look(x: Tensor) -> np.ndarray:
    """The values of `x` now."""
    return np.array(x.detach()._held())


def poke(x: Tensor) -> None:
    """Write to `x` through the NumPy array that shares its memory."""
    array = x.detach().numpy()
    if array.flags.writeable and array.size:
        array[...] = array[...] * 0 + 1


def backward(x: Tensor) -> None:
    """Go backward from the sum of `x`."""
    x.sum().backward()


def environment() -> dict[str, Any]:
    """The names that programs may use."""
    return {"tf": tf, "leaf": leaf, "look": look, "poke": poke, "backward": backward}


_USER_ERRORS = (RuntimeError, IndexError, TypeError, ValueError, AttributeError)


class Maker:
    """Makes a program, running it by the references to know what each line may say."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.program = Program()
        self.env = environment()
        self.count = 0
        self.inexact: set[int] = set()
        self.storages: list[Any] = []

    def make(self, n_lines: int) -> Program:
        """A program of about so many lines."""
        with config.override(backend="reference"):
            tf.manual_seed(0)
            for _ in range(self.random.randint(1, 3)):
                self.new_leaf()
            steps: list[tuple[int, Callable[[], None]]] = [
                (2, self.new_leaf), (6, self.unary), (6, self.binary), (5, self.reduction),
                (6, self.view), (4, self.arranged), (5, self.write), (2, self.look),
                (1, self.backward), (1, self.random_numbers),
            ]  # fmt: skip
            kinds = [step for weight, step in steps for _ in range(weight)]
            for _ in range(8 * n_lines):
                if len(self.program.lines) >= n_lines:
                    break
                self.random.choice(kinds)()
            for name in self.names():
                if self.is_exact(name):
                    self.program.exact.add(name)
        return self.program

    # Choosing.

    def names(self) -> list[str]:
        return [n for n in self.env if n[0] == "v" and isinstance(self.env[n], Tensor)]

    def pick(self, accepts: Callable[[Tensor], bool] = lambda x: True) -> str | None:
        found = [n for n in self.names() if accepts(self.env[n])]
        if not found:
            return None
        # Later ones more often: chains are what gets fused.
        return self.random.choice(found[-4:] if self.random.random() < 0.6 else found)

    def is_exact(self, *names: str) -> bool:
        return all(id(self.env[n]._storage) not in self.inexact for n in names)

    def fits(self, x: str) -> str:
        """A tensor that broadcasts with `x`, else any."""
        shape = tuple(self.env[x].shape)
        some = [n for n in self.names() if _broadcast(tuple(self.env[n].shape), shape)]
        return self.random.choice(some) if some else x

    # Writing lines.

    def bind(self, expression: str, exact: bool) -> None:
        """Bind a new name to the expression's value, if it has one."""
        name = f"v{self.count}"
        if not self.run(f"{name} = {expression}"):
            return
        self.count += 1
        if not isinstance(self.env[name], Tensor) or self.env[name].numel() > 20_000:
            del self.env[name]
            self.program.lines.pop()
        elif not exact:
            self.taint(name)

    def run(self, line: str) -> bool:
        """Run the line, and keep it if it runs."""
        try:
            exec(line, self.env)
        except _USER_ERRORS:
            return False
        self.program.lines.append(line)
        return True

    def taint(self, name: str) -> None:
        """Note that runs may differ in the last digits of this value."""
        storage = self.env[name]._storage
        self.inexact.add(id(storage))
        self.storages.append(storage)

    def filled(self, template: str, x: str, y: str | None = None) -> str:
        rank = max(1, self.env[x].dim())
        d, e = self.random.randrange(-rank, rank), self.random.randrange(rank)
        return template.format(x=x, y=y, d=d, e=e)

    def new_leaf(self) -> None:
        dtype = self.random.choice(["float32"] * 6 + FLOATS + INTEGERS + ["bool"])
        shape = self.random.choice(SHAPES)
        grad = ", True" if dtype in FLOATS and self.random.random() < 0.4 else ""
        self.bind(f"leaf({self.random.randrange(1000)}, {shape}, {dtype!r}{grad})", True)

    def unary(self) -> None:
        x = self.pick()
        if x is None:
            return
        exact, dtype = self.is_exact(x), self.env[x].dtype
        if dtype is dtypes.bool_:
            self.bind(self.filled(self.random.choice(BOOL_UNARY), x), exact)
        elif not dtype.is_floating_point:
            if self.random.random() < 0.3:
                to = self.random.choice(FLOATS + INTEGERS + ["bool"])
                self.bind(f"{x}.to(tf.{to})", exact)
            else:
                self.bind(self.filled(self.random.choice(EXACT_UNARY), x), exact)
        elif self.random.random() < 0.3:
            self.bind(self.filled(self.random.choice(INEXACT_UNARY), x), False)
        elif self.random.random() < 0.2:
            to = self.random.choice(FLOATS + (INTEGERS + ["bool"] if exact else []))
            x = f"{x}.clamp(0, 9)" if to == "uint8" else x
            self.bind(f"{x}.to(tf.{to})", exact)
        else:
            self.bind(self.steady(EXACT_UNARY + EXACT_FLOAT_UNARY, x, exact), exact)

    def steady(self, templates: Iterable[str], x: str, exact: bool, y: str | None = None) -> str:
        """One of `templates`, of those that do not jump unless the values are exact."""
        jumps = (">", "<", "==", "!=", "floor", "ceil", "trunc", "round", "frac", "sign", "arg")
        some = [t for t in templates if exact or not any(j in t for j in jumps)]
        return self.filled(self.random.choice(some), x, y)

    def binary(self) -> None:
        x = self.pick()
        if x is None:
            return
        y = self.fits(x)
        exact = self.is_exact(x, y)
        kinds = {self.env[n].dtype.kind for n in (x, y)}
        if "float" in kinds and self.random.random() < 0.25:
            self.bind(self.filled(self.random.choice(INEXACT_BINARY), x, y), False)
        elif "float" not in kinds and self.random.random() < 0.4:
            self.bind(self.filled(self.random.choice(INTEGER_BINARY), x, y), exact)
        else:
            self.bind(self.steady(EXACT_BINARY, x, exact, y), exact)

    def reduction(self) -> None:
        x = self.pick()
        if x is None:
            return
        exact, tensor = self.is_exact(x), self.env[x]
        choice = self.random.random()
        if choice < 0.3:
            self.bind(self.steady(EXACT_REDUCTIONS, x, exact), exact)
        elif choice < 0.4 and exact:
            self.bind(self.filled(self.random.choice(SORTS), x), exact)
        elif tensor.dtype.is_floating_point:
            self.bind(self.filled(self.random.choice(INEXACT_REDUCTIONS), x), False)
        else:
            self.bind(
                self.filled(self.random.choice(["{x}.sum({d})", "{x}.cumsum({d})"]), x), exact
            )

    def view(self) -> None:
        x = self.pick()
        if x is not None:
            self.bind(self.filled(self.random.choice(VIEWS), x), self.is_exact(x))

    def arranged(self) -> None:
        x = self.pick()
        if x is None:
            return
        y = self.fits(x)
        exact = self.is_exact(x, y)
        line = self.steady(ARRANGED, x, exact, y)
        sums = "@" in line and (self.env[x].dtype.is_floating_point)
        self.bind(line, exact and not sums)

    def write(self) -> None:
        x = self.pick(lambda t: not (t.requires_grad and t.is_leaf))
        if x is None:
            return
        y = self.fits(x)
        exact = self.is_exact(x, y)
        if self.env[x].dtype.is_floating_point and self.random.random() < 0.15:
            done, exact = self.run(self.filled(self.random.choice(INEXACT_WRITES), x, y)), False
        else:
            done = self.run(self.steady(WRITES, x, exact, y))
        if done and not exact:
            self.taint(x)

    def look(self) -> None:
        x = self.pick()
        if x is not None:
            self.run(self.filled(self.random.choice(LOOKS), x))

    def backward(self) -> None:
        x = self.pick(lambda t: t.requires_grad)
        if x is not None:
            self.run(self.filled(self.random.choice(BACKWARD), x))

    def random_numbers(self) -> None:
        x = self.pick(lambda t: t.dtype.is_floating_point)
        if x is not None:
            line = self.filled(self.random.choice(RANDOM), x)
            self.bind(line, "randn" not in line and self.is_exact(x))


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(n == m or 1 in (n, m) for n, m in zip(reversed(a), reversed(b)))


# Running.


@dataclass
class Outcome:
    """The values of a run by name (gradients as `NAME.grad`), or the error and its line."""

    values: dict[str, np.ndarray] = field(default_factory=dict)
    error: BaseException | None = None
    line: str = ""


def run(lines: Sequence[str], eager: bool = False, **options: Any) -> Outcome:
    """Run the lines under `options`; with `eager`, everything pending after each line."""
    env, outcome = environment(), Outcome()
    with config.override(**options):
        tf.manual_seed(0)
        try:
            for line in lines:
                outcome.line = line
                exec(line, env)
                if eager:
                    engine.flush()
            outcome.line = "the end"
            for name in sorted(n for n in env if n[0] == "v" and isinstance(env[n], Tensor)):
                outcome.values[name] = look(env[name])
                if env[name].is_leaf and env[name].grad is not None:
                    outcome.values[f"{name}.grad"] = look(env[name].grad)
        except Exception as error:
            outcome.error = error
    return outcome


def check(program: Program) -> str | None:
    """What is wrong with the runs of `program`, or None."""
    lines = program.lines
    reference = run(lines, backend="reference")
    lazy = run(lines, backend="native", threads=2)
    eager = run(lines, backend="native", threads=1, eager=True)
    for name, other in (("compiled", lazy), ("compiled line by line", eager)):
        if type(reference.error) is not type(other.error):
            return (
                f"references: {reference.error!r} at {reference.line!r}; "
                f"{name}: {other.error!r} at {other.line!r}"
            )
    if reference.error is not None:
        return None
    for key, expected in reference.values.items():
        a, b = lazy.values[key], eager.values[key]
        if not _same_bits(a, b):
            return f"{key}: fused {_show(a)}, line by line {_show(b)}"
        difference = _compare(a, expected, key in program.exact, reference.values)
        if difference:
            return f"{key}: {difference}"
    return None


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return (
        a.shape == b.shape
        and a.dtype == b.dtype
        and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    )


def _show(a: np.ndarray) -> str:
    return f"{a.dtype}{list(a.shape)} {np.array2string(a.ravel()[:8], threshold=8)}"


def _compare(
    found: np.ndarray, expected: np.ndarray, exact: bool, everything: dict[str, np.ndarray]
) -> str | None:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"compiled {_show(found)}, references {_show(expected)}"
    if exact or found.dtype.kind != "f":
        good = _same_bits(found, expected)
    else:
        scale = max(
            [1.0] + [float(np.abs(v[np.isfinite(v)]).max(initial=0)) for v in everything.values()
                     if v.dtype.kind == "f"]
        )  # fmt: skip
        with np.errstate(all="ignore"):
            plain = np.isfinite(found) & np.isfinite(expected)
            near = np.abs(found - expected) <= 2e-2 * np.abs(expected) + 1e-2 * min(scale, 1e4)
        good = bool((near | ~plain).all())
    return None if good else f"compiled {_show(found)}, references {_show(expected)}"


def smaller(program: Program, fails: Callable[[Program], bool]) -> Program:
    """The program with every line taken out without which it still fails."""
    lines = list(program.lines)
    step = max(1, len(lines) // 2)
    while True:
        at = 0
        while at < len(lines):
            candidate = Program(lines[:at] + lines[at + step :], program.exact)
            if len(candidate.lines) < len(lines) and fails(candidate):
                lines = candidate.lines
            else:
                at += step
        if step == 1:
            return Program(lines, program.exact)
        step //= 2


def still_fails(program: Program) -> bool:
    """Whether the runs of a smaller program still differ, other than by lines that are gone."""
    result = check(program)
    return result is not None and "NameError" not in result
