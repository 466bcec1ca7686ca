"""The C header of an exported program."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..dtypes import DType
from ..graph.types import Type
from ..machine import Target

_C_TYPES = {
    "float32": "float", "float64": "double", "int8": "int8_t", "int16": "int16_t",
    "int32": "int32_t", "int64": "int64_t", "uint8": "uint8_t", "bool": "uint8_t",
    "float16": "uint16_t", "bfloat16": "uint16_t", "complex64": "float", "complex128": "double",
}  # fmt: skip
"""C's type of an element; of half precision the bits, of complex numbers two parts."""


@dataclass(frozen=True)
class Array:
    """An input or output of an exported program."""

    name: str
    type: Type

    @property
    def c_name(self) -> str:
        """The name as C takes it."""
        name = re.sub(r"\W", "_", self.name, flags=re.ASCII)
        return f"_{name}" if name[:1].isdigit() else name


def c_type(dtype: DType) -> str:
    """C's type of an element."""
    return _C_TYPES[dtype.name]


def header_text(
    name: str,
    inputs: Sequence[Array],
    outputs: Sequence[Array],
    target: Target,
    threads: int,
    about: Sequence[str],
) -> str:
    """The header: what the object needs, and the declarations."""
    guard = f"{name.upper()}_H"
    names = _distinct([a.c_name for a in (*inputs, *outputs)])
    arguments = [f"const {c_type(a.type.dtype)} *{n}" for a, n in zip(inputs, names)]
    arguments += [f"{c_type(a.type.dtype)} *{n}" for a, n in zip(outputs, names[len(inputs) :])]
    described = [
        f"   {n}: {a.type.dtype.name}[{', '.join(map(str, a.type.shape))}]"
        for a, n in zip((*inputs, *outputs), names)
    ]
    lines = [
        f"/* {name}: a program exported for {target.triple} ({target.cpu or 'any'}).",
        *[f"   {line}." for line in about],
        "",
        f"   {name}_run reads the inputs and fills the outputs, which are row-major and dense:",
        *described,
        "   It returns 0, or 1 where a value was out of range (an index, a class), and then fills",
        "   nothing. One call at a time: its memory is the program's own. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "#include <stdint.h>",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"int {name}_run({', '.join(arguments)});",
    ]
    if threads > 1:
        lines += [
            "",
            f"/* Have runs done by `threads` threads, {threads} at most; gives how many there are.",
            "   Results do not depend on it. Stop them before the program ends. */",
            f"int {name}_start(int threads);",
            f"void {name}_stop(void);",
        ]
    lines += ["", "#ifdef __cplusplus", "}", "#endif", "#endif", ""]
    return "\n".join(lines)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, those that were taken with a number behind."""
    taken: set[str] = set()
    result = []
    for name in names:
        made, k = name, 2
        while made in taken:
            made, k = f"{name}_{k}", k + 1
        taken.add(made)
        result.append(made)
    return result
