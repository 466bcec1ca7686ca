"""Random programs, as lines of Python, and how they are run, compared and made smaller.

A program makes tensors, combines them, views them, writes through the views, looks at values half
way, takes gradients and uses them further, and goes backward. What it may say is in
`fuzz_lines.py`. It is run by the references alone; compiled with everything pending as long as it
can be; compiled line by line; compiled with flushes here and there; and captured, called until it
is replayed. The compiled runs must agree bit for bit, for fusing changes nothing; the references
must agree bit for bit where all that went before is exact (`Program.exact`), elsewhere nearly.
Then all that again at other sizes of the same structure, for which the plans are made anew and the
kernels are not.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import fuzz_lines as say
import numpy as np
from fuzz_lines import environment, look

import twofold as tf
from twofold import config, dtypes, engine
from twofold.tensor import Tensor


@dataclass
class Program:
    """Lines that bind v0, v1, ...; the names whose values are exact in every run."""

    lines: list[str] = field(default_factory=list)
    exact: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return "\n".join(self.lines)


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
                (1, self.backward), (1, self.random_numbers), (2, self.scattered),
                (3, self.product), (3, self.windows), (2, self.slope), (1, self.cast),
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
        rare = say.FLOATS + say.INTEGERS + ["bool"] + say.COMPLEX
        dtype = self.random.choice(["float32"] * 8 + rare)
        shape = self.random.choice(say.SHAPES)
        grad = ", True" if dtype in say.FLOATS and self.random.random() < 0.4 else ""
        self.bind(f"leaf({self.random.randrange(1000)}, {shape}, {dtype!r}{grad})", True)

    def unary(self) -> None:
        x = self.pick()
        if x is None:
            return
        exact, dtype = self.is_exact(x), self.env[x].dtype
        if dtype is dtypes.bool_:
            self.bind(self.filled(self.random.choice(say.BOOL_UNARY), x), exact)
        elif dtype.is_complex:
            if self.random.random() < 0.4:
                self.bind(self.filled(self.random.choice(say.INEXACT_COMPLEX), x), False)
            else:
                self.bind(self.filled(self.random.choice(say.COMPLEX_UNARY), x), exact)
        elif not dtype.is_floating_point:
            if self.random.random() < 0.3:
                to = self.random.choice(say.FLOATS + say.INTEGERS + ["bool"])
                self.bind(f"{x}.to(tf.{to})", exact)
            else:
                self.bind(self.filled(self.random.choice(say.EXACT_UNARY), x), exact)
        elif self.random.random() < 0.3:
            self.bind(self.filled(self.random.choice(say.INEXACT_UNARY), x), False)
        elif self.random.random() < 0.2:
            to = self.random.choice(say.FLOATS + (say.INTEGERS + ["bool"] if exact else []))
            x = f"{x}.clamp(0, 9)" if to == "uint8" else x
            self.bind(f"{x}.to(tf.{to})", exact)
        else:
            self.bind(self.steady(say.EXACT_UNARY + say.EXACT_FLOAT_UNARY, x, exact), exact)

    def steady(self, templates: Iterable[str], x: str, exact: bool, y: str | None = None) -> str:
        """One of `templates`, of those that do not jump unless the values are exact."""
        some = [t for t in templates if exact or not any(j in t for j in say.JUMPS)]
        return self.filled(self.random.choice(some), x, y)

    def binary(self) -> None:
        x = self.pick()
        if x is None:
            return
        y = self.fits(x)
        exact = self.is_exact(x, y)
        kinds = {self.env[n].dtype.kind for n in (x, y)}
        if "float" in kinds and self.random.random() < 0.25:
            self.bind(self.filled(self.random.choice(say.INEXACT_BINARY), x, y), False)
        elif "float" not in kinds and self.random.random() < 0.4:
            self.bind(self.filled(self.random.choice(say.INTEGER_BINARY), x, y), exact)
        else:
            self.bind(self.steady(say.EXACT_BINARY, x, exact, y), exact)

    def reduction(self) -> None:
        x = self.pick()
        if x is None:
            return
        exact, tensor = self.is_exact(x), self.env[x]
        if tensor.dtype.is_complex:
            self.bind(self.filled(self.random.choice(say.INEXACT_COMPLEX), x), False)
            return
        choice = self.random.random()
        if choice < 0.3:
            self.bind(self.steady(say.EXACT_REDUCTIONS, x, exact), exact)
        elif choice < 0.4 and exact:
            self.bind(self.filled(self.random.choice(say.SORTS), x), exact)
        elif tensor.dtype.is_floating_point:
            self.bind(self.filled(self.random.choice(say.INEXACT_REDUCTIONS), x), False)
        else:
            self.bind(self.filled(self.random.choice(say.INTEGER_REDUCTIONS), x), exact)

    def view(self) -> None:
        x = self.pick()
        if x is not None:
            self.bind(self.filled(self.random.choice(say.VIEWS), x), self.is_exact(x))

    def arranged(self) -> None:
        x = self.pick()
        if x is None:
            return
        y = self.fits(x)
        exact = self.is_exact(x, y)
        line = self.steady(say.ARRANGED, x, exact, y)
        sums = "@" in line and (self.env[x].dtype.is_floating_point)
        self.bind(line, exact and not sums)

    def scattered(self) -> None:
        x = self.pick(lambda t: t.dim() > 0)
        if x is not None:
            sums = self.env[x].dtype.is_inexact
            line = self.steady(say.SCATTERED, x, self.is_exact(x))
            self.bind(line, self.is_exact(x) and not sums)

    def product(self) -> None:
        x = self.pick(lambda t: t.dim() > 1 and t.dtype is not dtypes.bool_)
        if x is not None:
            exact = self.is_exact(x) and not self.env[x].dtype.is_inexact
            self.bind(self.seeded(say.PRODUCTS, x), exact)

    def windows(self) -> None:
        x = self.pick(lambda t: t.dim() in (3, 4) and t.dtype.is_floating_point)
        if x is not None:
            self.bind(self.seeded(say.WINDOWS, x), False)

    def seeded(self, templates: Sequence[str], x: str) -> str:
        return self.filled(self.random.choice(templates).replace("{s}", str(self.count)), x)

    def slope(self) -> None:
        x, y = self.pick(lambda t: t.requires_grad), self.pick(lambda t: t.requires_grad)
        if x is not None and y is not None:
            self.bind(self.filled(self.random.choice(say.SLOPES), x, y), False)

    def cast(self) -> None:
        """To any dtype; floats that differ in a last digit stay floats."""
        x = self.pick()
        if x is None:
            return
        exact, dtype = self.is_exact(x), self.env[x].dtype
        to = self.random.choice(say.FLOATS + say.INTEGERS + ["bool"] + say.COMPLEX)
        if dtype.is_inexact and getattr(dtypes, to, dtypes.bool_) in (dtypes.bool_, dtypes.uint8):
            return
        if exact or not dtype.is_inexact or to in say.FLOATS:
            self.bind(f"{x}.to(tf.{to})", exact)

    def write(self) -> None:
        x = self.pick(lambda t: not (t.requires_grad and t.is_leaf))
        if x is None:
            return
        y = self.fits(x)
        exact = self.is_exact(x, y)
        if self.env[x].dtype.is_floating_point and self.random.random() < 0.15:
            done, exact = self.run(self.filled(self.random.choice(say.INEXACT_WRITES), x, y)), False
        else:
            done = self.run(self.steady(say.WRITES, x, exact, y))
        if done and not exact:
            self.taint(x)

    def look(self) -> None:
        x = self.pick()
        if x is not None:
            self.run(self.filled(self.random.choice(say.LOOKS), x))

    def backward(self) -> None:
        x = self.pick(lambda t: t.requires_grad)
        if x is not None:
            self.run(self.filled(self.random.choice(say.BACKWARD), x))

    def random_numbers(self) -> None:
        x = self.pick(lambda t: t.dtype.is_floating_point)
        if x is not None:
            line = self.filled(self.random.choice(say.RANDOM), x)
            is_normal = "randn" in line or "normal" in line
            self.bind(line, not is_normal and self.is_exact(x))


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(n == m or 1 in (n, m) for n, m in zip(reversed(a), reversed(b)))


# Running.


@dataclass
class Outcome:
    """The values of a run by name (gradients as `NAME.grad`), or the error and its line."""

    values: dict[str, np.ndarray] = field(default_factory=dict)
    error: BaseException | None = None
    line: str = ""


def run(lines: Sequence[str], flush_after: Callable[[int], bool] | None = None, **options: Any
) -> Outcome:  # fmt: skip
    """Run the lines under `options`, with what is pending flushed after some."""
    env, outcome = environment(), Outcome()
    with config.override(**options):
        tf.manual_seed(0)
        try:
            for k, line in enumerate(lines):
                outcome.line = line
                exec(line, env)
                if flush_after is not None and flush_after(k):
                    engine.flush()
            outcome.line = "the end"
            _note(outcome, env)
        except Exception as error:
            outcome.error = error.with_traceback(None)  # which would keep what is pending
    return outcome


def _note(outcome: Outcome, env: dict[str, Any]) -> None:
    for name in sorted(n for n in env if n[0] == "v" and isinstance(env[n], Tensor)):
        outcome.values[name] = look(env[name])
        if env[name].is_leaf and env[name].grad is not None:
            outcome.values[f"{name}.grad"] = look(env[name].grad)


def run_captured(lines: Sequence[str], calls: int = 4) -> list[Outcome]:
    """What several calls of the program as one captured function give, with leaves made anew for
    each, before it."""
    makes = [k for k, line in enumerate(lines) if " = leaf(" in line]
    rest = [line for k, line in enumerate(lines) if k not in makes]
    names = [lines[k].split()[0] for k in makes]
    step = compile("\n".join(rest), "<program>", "exec")

    def body(*leaves: Tensor) -> dict[str, Tensor]:
        env = environment()
        env.update(zip(names, leaves))
        exec(step, env)
        return {n: t for n, t in env.items() if n[0] == "v" and isinstance(t, Tensor)}

    function, outcomes = tf.compile(body), []
    for _ in range(calls):
        outcome, env = Outcome(line="a captured call"), environment()
        outcomes.append(outcome)
        with config.override(backend="native", threads=2), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for k in makes:
                exec(lines[k], env)
            tf.manual_seed(0)
            try:
                _note(outcome, function(*(env[n] for n in names)))
            except Exception as error:
                outcome.error = error.with_traceback(None)  # which would keep what is pending
    return outcomes


@contextmanager
def other_sizes() -> Iterator[None]:
    """Leaves of other sizes than their programs say."""
    say.at_other_sizes[0] = True
    try:
        yield
    finally:
        say.at_other_sizes[0] = False


def check(program: Program) -> str | None:
    """What is wrong with the runs of `program`, or None."""
    lines = program.lines
    wrong = _check_runs(lines, program.exact)
    if wrong is None:
        with other_sizes():
            wrong = _check_runs(lines, program.exact)
        wrong = wrong and f"at other sizes: {wrong}"
    return wrong


def _check_runs(lines: Sequence[str], exact: set[str]) -> str | None:
    reference = run(lines, backend="reference")
    others = {
        "compiled": run(lines, backend="native", threads=2),
        "compiled line by line": run(lines, lambda _: True, backend="native", threads=1),
        "flushed here and there": run(lines, lambda k: k % 3 == 1, backend="native", threads=3),
    }
    if reference.error is None:
        for k, outcome in enumerate(run_captured(lines)):
            others[f"captured, call {k}"] = outcome
    for name, other in others.items():
        alike = type(reference.error) is type(other.error)
        if say.at_other_sizes[0] and None not in (reference.error, other.error):
            alike = True  # of several errors, which comes first follows from when a line is run
        if not alike:
            return (
                f"references: {reference.error!r} at {reference.line!r}; "
                f"{name}: {other.error!r} at {other.line!r}"
            )
    if reference.error is not None:
        return None
    first = others["compiled"].values
    for key, expected in reference.values.items():
        for name, other in others.items():
            if not _same_bits(first[key], other.values[key]):
                return f"{key}: compiled {_show(first[key])}, {name} {_show(other.values[key])}"
        difference = _compare(first[key], expected, key in exact, reference.values)
        if difference:
            return f"{key}: {difference}"
    return None


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return (
        a.shape == b.shape
        and a.dtype == b.dtype
        and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    )


def _show(a: np.ndarray) -> str:
    return f"{a.dtype}{list(a.shape)} {np.array2string(a.ravel()[:8], threshold=8)}"


def _compare(
    found: np.ndarray, expected: np.ndarray, exact: bool, everything: dict[str, np.ndarray]
) -> str | None:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"compiled {_show(found)}, references {_show(expected)}"
    if exact or found.dtype.kind not in "fc":
        good = _same_bits(found, expected)
    else:
        scale = max(
            [1.0] + [float(np.abs(v[np.isfinite(v)]).max(initial=0)) for v in everything.values()
                     if v.dtype.kind in "fc"]
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
