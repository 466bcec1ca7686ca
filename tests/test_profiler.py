"""`profiler`: events, tables, schedules, traces; `jit`: traced functions and modules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import twofold as tf
from twofold import engine
from twofold.profiler import ProfilerActivity, profile, record_function, schedule


def test_a_profile_tells_kernels_and_named_blocks(tmp_path: Path) -> None:
    x = tf.rand(16, 16)
    with profile(activities=[ProfilerActivity.CPU]) as p:
        for _ in range(3):
            with record_function("products"):
                y = (x @ x).sum()
            y.item()
    found = {a.key: a for a in p.key_averages()}
    assert found["matmul"].count == found["products"].count == 3
    assert found["matmul"].flops == 3 * 2 * 16**3
    assert found["products"].cpu_time_total > found["matmul"].self_cpu_time_total > 0
    table = p.key_averages().table(sort_by="self_cpu_time_total", row_limit=1)
    assert table.count("\n") == 5 and "matmul" in str(p)
    p.export_chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {e["name"] for e in events} == set(found)
    starts = [e["ts"] for e in events if e["name"] == "matmul"]
    assert starts == sorted(starts)
    with record_function("after"):
        pass
    assert len(p.events()) == len(events)


def test_a_schedule_says_which_steps_are_recorded() -> None:
    kinds = [schedule(skip_first=1, wait=1, warmup=1, active=2, repeat=1)(i).name for i in range(7)]
    assert kinds == ["NONE", "NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE", "NONE"]
    seen = []
    plan = schedule(wait=1, warmup=0, active=2, repeat=1)
    with profile(schedule=plan, on_trace_ready=lambda p: seen.append(len(p.events()))) as p:
        for i in range(5):
            with record_function(f"step {i}"):
                pass
            p.step()
    assert seen == [2]


def test_a_profile_ends_where_what_is_pending_fails() -> None:
    before = len(engine.observers)
    with pytest.raises(IndexError), profile() as p:
        kept = tf.ones(3)[tf.tensor([7])] + 1
    assert len(engine.observers) == before
    del kept
    events = len(p.events())
    (tf.ones(3) * 2).sum().item()
    assert len(p.events()) == events


def test_traced_modules_and_functions_are_saved_and_loaded(tmp_path: Path) -> None:
    net = tf.nn.Sequential(tf.nn.Linear(4, 8), tf.nn.ReLU(), tf.nn.Linear(8, 2)).eval()
    x = tf.randn(5, 4)
    traced = tf.jit.trace(net, tf.ones(3, 4))
    assert isinstance(traced, tf.jit.ScriptModule) and isinstance(traced, tf.nn.Sequential)
    assert list(traced.state_dict()) == list(net.state_dict())
    assert traced(x).tolist() == net(x).tolist()
    tf.jit.save(traced, tmp_path / "net.pt")
    loaded = tf.jit.load(tmp_path / "net.pt", map_location="cpu").eval()
    assert loaded(x).tolist() == net(x).tolist()  # of another batch than it was traced with
    double = tf.jit.trace(lambda a, b: a * 2 + b, (tf.ones(2), tf.ones(2)))
    assert [double(tf.ones(3) * k, tf.ones(3)).tolist()[0] for k in range(4)] == [1, 3, 5, 7]
    with pytest.raises(TypeError, match=r"jit\.trace"):
        tf.jit.save(tf.jit.script(net), tmp_path / "none.pt")
    with pytest.raises(RuntimeError, match="cut short"):
        (tmp_path / "other.pt").write_bytes(b"PK\x03\x04" + bytes(64))
        tf.jit.load(tmp_path / "other.pt")
