"""The page of the documentation that the results make."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from twofold.missing_names import reason_of

from .names import NAMESPACES, present

Results = dict[str, dict[str, Any]]
MEASURED = ("torch", "Tensor", "nn", "nn.functional", "optim", "linalg", "fft", "special")


def by_name(results: Results) -> dict[str, dict[str, Any]]:
    """The entries of one function taken together: (samples, equal ones) of each kind of check."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for key, checks in results.items():
        _, name, _ = key.split(":")
        for kind, outcome in checks.items():
            total = found[name].setdefault(kind, [0, 0, []])
            total[0] += outcome["total"]
            total[1] += outcome["equal"]
            total[2] += outcome["failures"]
    return found


def _kinds(namespace: str, name: str) -> tuple[str, tuple[str, ...]]:
    """The entry that tests a name, and which of its checks do."""
    if namespace == "Tensor":
        if name.endswith("_") and not name.startswith("_"):
            return name[:-1], ("inplace",)
        return name, ("method",)
    prefix = "" if namespace == "torch" else namespace + "."
    return prefix + name, ("forward",)


def measure(results: Results) -> dict[str, dict[str, Any]]:
    """For each namespace: documented and present names, those with samples that are equal, and
    the same for gradients."""
    table = {}
    found = by_name(results)
    for namespace in NAMESPACES:
        there = present(namespace)
        row: dict[str, Any] = {
            "documented": len(there), "present": sum(there.values()),
            "missing": [n for n, here in there.items() if not here],
            "forward": [0, 0], "gradient": [0, 0], "wrong": [],
        }  # fmt: skip
        for name, here in there.items():
            entry, kinds = _kinds(namespace, name)
            for column, names in (("forward", kinds), ("gradient", ("gradient",))):
                if column == "gradient" and namespace == "Tensor":
                    continue
                checks = [found[entry][k] for k in names if k in found.get(entry, {})]
                if not any(c[0] for c in checks):
                    continue
                row[column][1] += 1
                equal = all(c[0] == c[1] for c in checks)
                row[column][0] += equal and here
                if here and not equal:
                    row["wrong"].append((name, column, next(c[2] for c in checks if c[2])[0]))
        table[namespace] = row
    return table


def _share(a: int, b: int) -> str:
    return f"{a} of {b} ({100 * a / b:.1f} %)" if b else "-"


def summary(results: Results) -> str:
    """The shares as lines of text."""
    table = measure(results)
    lines = []
    for namespace, row in table.items():
        lines.append(
            f"{namespace:20s} present {_share(row['present'], row['documented']):22s} "
            f"equal {_share(*row['forward']):22s} gradient {_share(*row['gradient'])}"
        )
    total = _total(table)
    lines.append(f"{'all measured':20s} present {_share(*total[0]):22s} equal "
                 f"{_share(*total[1]):22s} gradient {_share(*total[2])}")  # fmt: skip
    return "\n".join(lines)


def _total(table: dict[str, dict[str, Any]]) -> tuple[list[int], list[int], list[int]]:
    """Names present, functions equal, gradients equal, over the measured namespaces."""
    rows = [table[n] for n in MEASURED]
    here = [sum(r["present"] for r in rows), sum(r["documented"] for r in rows)]
    forward = [sum(r["forward"][i] for r in rows) for i in (0, 1)]
    gradient = [sum(r["gradient"][i] for r in rows) for i in (0, 1)]
    return here, forward, gradient


_HEAD = """# PyTorch's names

<!-- Made by `python -m bench.conformance`; what is written by hand goes to its page.py. -->

Which of PyTorch {version}'s documented names are here, and whether they give what PyTorch gives on
the sample inputs of PyTorch's own tests (its databases of ops, modules and optimizers). Of each
entry's samples at most 10 of float32, 3 of int64 and 2 of bool are taken, evenly apart. A name is
documented if it is public and PyTorch gives it a docstring. A function is *equal* if it is here and
all of these samples agree in shape, dtype and value (relative error 1e-4); its gradient is, if the
gradients of those samples agree for a random cotangent. The shares are of the functions that have
samples. Methods and in-place methods of `Tensor` are called as such. Where numbers are drawn at
random, shapes and dtypes are compared; where several places hold one value, only the value is.

    python -m bench.conformance --json results.json

"""


def write(results: Results, path: Path) -> None:
    """Write the page."""
    import torch

    table = measure(results)
    lines = [_HEAD.format(version=torch.__version__.partition("+")[0])]
    lines += ["| namespace | names here | equal | gradient equal |", "|---|---|---|---|"]
    for namespace, row in table.items():
        lines.append(
            f"| `{namespace}` | {_share(row['present'], row['documented'])} | "
            f"{_share(*row['forward'])} | {_share(*row['gradient'])} |"
        )
    total = _total(table)
    measured = " ".join(f"`{n}`" for n in MEASURED)
    lines.append(f"| together: {measured} | " + " | ".join(_share(*t) for t in total) + " |")
    lines += ["", _others(results), "", "## Not here", ""]
    for namespace, row in table.items():
        if row["missing"]:
            lines += [f"### {namespace}", "", "| reason | names |", "|---|---|"]
            grouped: dict[str, list[str]] = defaultdict(list)
            for name in row["missing"]:
                grouped[reason_of(namespace, name) or "not yet"].append(f"`{name}`")
            lines += [f"| {why} | {' '.join(names)} |" for why, names in sorted(grouped.items())]
            lines.append("")
    lines += ["## Here, and not equal on all samples", "", "| name | what | first difference |"]
    lines.append("|---|---|---|")
    for namespace, row in table.items():
        for name, what, text in row["wrong"]:
            clean = text.replace("|", "\\|").partition(" <- ")[0][:110]
            lines.append(f"| `{namespace}.{name}` | {what} | {clean} |")
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _others(results: Results) -> str:
    """Samples, out= forms, aliases, errors and complex numbers, in one sentence each."""
    kinds: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for checks in results.values():
        for kind, outcome in checks.items():
            kinds[kind][0] += outcome["equal"]
            kinds[kind][1] += outcome["total"]
    words = {
        "forward": "samples", "gradient": "gradients of samples", "method": "calls of methods",
        "inplace": "in-place calls", "out": "calls with `out=`", "alias": "calls by aliases",
        "errors": "inputs that PyTorch refuses, refused by the same class of error",
        "complex forward": "samples of complex64", "complex gradient": "gradients of complex64",
    }  # fmt: skip
    parts = [f"{words[k]} {_share(*kinds[k])}" for k in words if k in kinds]
    return "Counted singly: " + "; ".join(parts) + "."
