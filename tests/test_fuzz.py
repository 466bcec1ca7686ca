"""Random programs: by the references, fused, line by line, captured, at other sizes (`fuzz.py`).

`TWOFOLD_FUZZ=5000` runs so many instead of 200; `TWOFOLD_FUZZ_FROM=N` starts at another seed.
"""

from __future__ import annotations

import os

import pytest
from fuzz import Maker, Program, check, smaller, still_fails

COUNT = int(os.environ.get("TWOFOLD_FUZZ") or 200)
FIRST = int(os.environ.get("TWOFOLD_FUZZ_FROM") or 0)
GROUP = 20


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, GROUP))
def test_programs(first: int) -> None:
    """Twenty programs, with the seeds from `first` on."""
    for seed in range(first, min(first + GROUP, FIRST + COUNT)):
        program = Maker(seed).make(12)
        wrong = check(program)
        if wrong is not None:
            least = smaller(program, still_fails)
            pytest.fail(f"seed {seed}: {check(least)}\n\n{least}", pytrace=False)


FOUND = {
    "a constant looked at, then made again by a rewrite": """
v0 = tf.zeros((), dtype=tf.int64)
look(v0)
v1 = leaf(0, (1,), 'int32')
look(v1)
v2 = v1.argmax(0)
""",
    "a number of bfloat16 by the references": """
v0 = leaf(0, (7,), 'bfloat16')
v1 = v0.masked_fill(v0 > 0, 0.25)
""",
    "a sum over two axes whose order told what it was fused with": """
v0 = leaf(97, (33, 5), 'float32')
v1 = leaf(381, (5,), 'float32')
v2 = (v0 + v1) / 2
v3 = v2.mean()
v4 = v2 * v3
""",
    "a sum over two axes beside a broadcast of one of them": """
v0 = leaf(97, (17,), 'float32').expand(3, 17)
v1 = v0 * 2
v2 = v1 - v1.mean(1, True)
v3 = v2.norm()
""",
    "memory handed out that was another tensor's too": """
v0 = leaf(972, (), 'float32', True)
v1 = v0.reshape(())
v2 = v1.topk(1, -1)[0]
poke(v2)
""",
    "a write through NumPy in a captured function": """
v0 = leaf(164, (3, 1), 'int8')
v1 = v0 + 1
poke(v0)
v2 = v0 + 1
""",
    "a mean over nothing handed out": """
v0 = leaf(656, (0,), 'float32', True)
v1 = v0.norm()
v2 = v1 + v1 * 2
v3 = v1.mean(0)
poke(v1)
""",
}
"""What went wrong once."""


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_found(text: str) -> None:
    """Programs that the fuzzer found and that have been mended since."""
    lines = text.strip().splitlines()
    names = {line.split()[0] for line in lines if " = " in line}
    wrong = check(Program(lines, names if "mean" not in text else set()))
    assert wrong is None, wrong
