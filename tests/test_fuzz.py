"""Random programs: compiled against the references, fused against line by line (see `fuzz.py`).

`TWOFOLD_FUZZ=5000` runs so many instead of 200; `TWOFOLD_FUZZ_FROM=N` starts at another seed.
"""

from __future__ import annotations

import os

import pytest
from fuzz import Maker, check, smaller, still_fails

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
