"""The verifier of launches: what is right passes, each broken rule is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twofold import config, engine
from twofold.errors import InternalError
from twofold.graph.node import Node
from twofold.kernels.loops import Access
from twofold.kernels.memory import MemoryPlan
from twofold.kernels.verify import verify_launches
from twofold.ops import contract as ct
from twofold.ops import elementwise as ew
from twofold.ops import reduce


def leaf(*shape: int) -> Node:
    return engine.from_numpy(np.ones(shape, "f4"))


def plan() -> MemoryPlan:
    """Products with work between them: temporaries, barriers, reuse."""
    x, w = leaf(32, 32), leaf(32, 32)
    for _ in range(3):
        x = ew.exp(ct.matmul(x, w))
    return engine.plan_graph([reduce.sum_(x, (0,)), ct.matmul(x, w)]).memory


def test_a_plan_passes() -> None:
    with config.override(verify=False):
        found = plan()
    assert any(p.barrier_after for p in found.launches)
    verify_launches(found)


def test_a_missing_barrier_is_found() -> None:
    found = plan()
    k = next(i for i, p in enumerate(found.launches) if p.barrier_after)
    found.launches[k].barrier_after = False
    with pytest.raises(InternalError, match=f"must wait for launch {k}"):
        verify_launches(found)


def test_a_read_of_what_was_never_written_is_found() -> None:
    found = plan()
    writer = next(p for p in found.launches if any(b.kind == "temp" for b in p.source.writes))
    found.launches.remove(writer)
    with pytest.raises(InternalError, match="written before"):
        verify_launches(found)


def test_memory_shared_by_what_lives_at_once_is_found() -> None:
    found = plan()
    for p in found.launches:
        at = 0
        for arg in p.source.args:
            if type(arg).__name__ == "Array":
                if p.words[at] == 1:
                    p.words[at + 1] = arg.offset
                at += 2
            else:
                at += 3 if type(arg).__name__ == "Scratch" else 1
    with pytest.raises(InternalError, match="live at once"):
        verify_launches(found)


def test_an_arena_that_is_too_small_is_found() -> None:
    found = plan()
    found.arena_bytes = 64
    with pytest.raises(InternalError, match="the arena has 64 bytes"):
        verify_launches(found)


def test_an_access_of_an_operand_that_is_not_there_is_found() -> None:
    found = engine.plan_graph([ew.exp(leaf(5))]).memory
    (p,) = found.launches
    (stage,) = p.spec.stages
    (store,) = stage.stores
    wrong = replace(store, access=Access(7, store.access.strides))
    p.spec = replace(p.spec, stages=(replace(stage, stores=(wrong,)),))
    with pytest.raises(InternalError, match="2 operands"):
        verify_launches(found)
