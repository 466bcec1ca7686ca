"""The native code that walks a plan: worker loop, shared counters, barriers. As LLVM text.

A team is 256 bytes: @0 i32 generation, @4 i32 whether the plan is open, @64 i32 workers inside, @68
i32 workers asleep, @128 pointer to the plan, @136 i64 size of the team. A plan is 128 bytes: @0 i64
launches, @8 table, @16 bases, @24 i64 whether the caller walks it alone, @64 i64 items done. An
entry of the table is 128 bytes: @0 function, @8 words, @16 items, @24 grain, @32 i64 items done by
the end of this launch if all threads meet then, else 0, @64 next item.

Threads meet where the count of items done says that all work before is finished, not where a number
of threads has arrived. So a worker that the system has not woken, or has put aside, is waited for
only if it holds an item: on a crowded machine the caller does the work of those that are late. A
worker enters (@64) before it looks whether the plan is still open (@4); the caller closes the plan
before it waits for those inside, so none is left in a plan that is over.
"""

from __future__ import annotations

TEAM_BYTES, PLAN_BYTES, ENTRY_BYTES = 256, 128, 128

_FUTEX_WAIT = (
    "%slept = call i64 (i64, ...) @syscall(i64 {number}, ptr %team, i64 128, i32 %last, "
    "ptr null, ptr null, i32 0)"
)
_FUTEX_WAKE = (
    "%woken = call i64 (i64, ...) @syscall(i64 {number}, ptr %team, i64 129, i64 2147483647, "
    "ptr null, ptr null, i32 0)"
)
_YIELD = "{result} = call i32 @sched_yield()"

FUTEX_NUMBER = {"x86_64": 202, "aarch64": 98}
"""The system call's number on Linux."""


def text(machine: str, is_linux: bool) -> str:
    """LLVM text of `twofold_worker(team, worker)` and `twofold_run(team, plan)`."""
    number = FUTEX_NUMBER.get(machine) if is_linux else None
    if number is None:
        wait, wake = _YIELD.format(result="%slept"), ""
    else:
        wait, wake = _FUTEX_WAIT.format(number=number), _FUTEX_WAKE.format(number=number)
    if machine == "x86_64":
        pause, declare = "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"
    else:
        pause, declare = "fence seq_cst", ""
    return (
        _SOURCE.replace("$WAIT", wait)
        .replace("$WAKE", wake)
        .replace("$PAUSE", pause)
        .replace("$DECLARE", declare)
    )


_SOURCE = r"""
declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
$DECLARE

define void @twofold_worker(ptr %team, i64 %worker) {
entry:
  %open.p = getelementptr i8, ptr %team, i64 4
  %inside.p = getelementptr i8, ptr %team, i64 64
  %asleep.p = getelementptr i8, ptr %team, i64 68
  %plan.p = getelementptr i8, ptr %team, i64 128
  br label %idle
idle:
  %last = phi i32 [ 0, %entry ], [ %now, %leave ]
  br label %look
look:
  %spins = phi i32 [ 0, %idle ], [ %spins.next, %spin ], [ 3000, %sleep ]
  %now = load atomic i32, ptr %team acquire, align 4
  %same = icmp eq i32 %now, %last
  br i1 %same, label %spin.or.sleep, label %go
spin.or.sleep:
  %enough = icmp ugt i32 %spins, 4000
  br i1 %enough, label %sleep, label %spin
spin:
  $PAUSE
  %spins.next = add i32 %spins, 1
  br label %look
sleep:
  %before.sleep = atomicrmw add ptr %asleep.p, i32 1 seq_cst
  $WAIT
  %after.sleep = atomicrmw sub ptr %asleep.p, i32 1 seq_cst
  br label %look
go:
  %entered = atomicrmw add ptr %inside.p, i32 1 seq_cst
  %open = load atomic i32, ptr %open.p seq_cst, align 4
  switch i32 %open, label %ran [ i32 0, label %leave
                                 i32 2, label %exit ]
ran:
  %plan = load ptr, ptr %plan.p
  call void @walk(ptr %plan, i64 %worker)
  br label %leave
leave:
  %left = atomicrmw sub ptr %inside.p, i32 1 seq_cst
  br label %idle
exit:
  ret void
}

define void @twofold_run(ptr %team, ptr %plan) {
entry:
  %open.p = getelementptr i8, ptr %team, i64 4
  %inside.p = getelementptr i8, ptr %team, i64 64
  %asleep.p = getelementptr i8, ptr %team, i64 68
  %plan.p = getelementptr i8, ptr %team, i64 128
  %size.p = getelementptr i8, ptr %team, i64 136
  %size = load i64, ptr %size.p
  %has.plan = icmp ne ptr %plan, null
  br i1 %has.plan, label %reset, label %wake
reset:
  %n = load i64, ptr %plan
  %table.p = getelementptr i8, ptr %plan, i64 8
  %table = load ptr, ptr %table.p
  %alone.p = getelementptr i8, ptr %plan, i64 24
  %alone = load i64, ptr %alone.p
  %finished.p = getelementptr i8, ptr %plan, i64 64
  store i64 0, ptr %finished.p
  br label %reset.look
reset.look:
  %i = phi i64 [ 0, %reset ], [ %i.next, %reset.one ]
  %more = icmp ult i64 %i, %n
  br i1 %more, label %reset.one, label %start
reset.one:
  %at = mul i64 %i, 128
  %entry.p = getelementptr i8, ptr %table, i64 %at
  %counter.p = getelementptr i8, ptr %entry.p, i64 64
  store i64 0, ptr %counter.p
  %i.next = add i64 %i, 1
  br label %reset.look
start:
  %by.plan = icmp ne i64 %alone, 0
  %by.size = icmp ule i64 %size, 1
  %solo = or i1 %by.plan, %by.size
  br i1 %solo, label %solo.walk, label %wake
solo.walk:
  call void @walk(ptr %plan, i64 0)
  br label %out
wake:
  %state = select i1 %has.plan, i32 1, i32 2
  store ptr %plan, ptr %plan.p
  store atomic i32 %state, ptr %open.p seq_cst, align 4
  %g = atomicrmw add ptr %team, i32 1 seq_cst
  %asleep = load atomic i32, ptr %asleep.p seq_cst, align 4
  %any.asleep = icmp ne i32 %asleep, 0
  br i1 %any.asleep, label %call, label %woken.all
call:
  $WAKE
  br label %woken.all
woken.all:
  br i1 %has.plan, label %mine, label %out
mine:
  call void @walk(ptr %plan, i64 0)
  store atomic i32 0, ptr %open.p seq_cst, align 4
  br label %wait
wait:
  %waits = phi i32 [ 0, %mine ], [ %waits.next, %again ]
  %inside = load atomic i32, ptr %inside.p seq_cst, align 4
  %empty = icmp eq i32 %inside, 0
  br i1 %empty, label %out, label %wait.more
wait.more:
  $PAUSE
  %waits.next = add i32 %waits, 1
  %tired = icmp ugt i32 %waits, 2000
  br i1 %tired, label %yield, label %again
yield:
  %y = call i32 @sched_yield()
  br label %again
again:
  br label %wait
out:
  ret void
}

define internal void @walk(ptr %plan, i64 %worker) {
entry:
  %n = load i64, ptr %plan
  %table.p = getelementptr i8, ptr %plan, i64 8
  %table = load ptr, ptr %table.p
  %bases.p = getelementptr i8, ptr %plan, i64 16
  %bases = load ptr, ptr %bases.p
  %finished.p = getelementptr i8, ptr %plan, i64 64
  br label %launch
launch:
  %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
  %more = icmp ult i64 %i, %n
  br i1 %more, label %begin, label %out
begin:
  %at = mul i64 %i, 128
  %e = getelementptr i8, ptr %table, i64 %at
  %fn = load ptr, ptr %e
  %words.p = getelementptr i8, ptr %e, i64 8
  %words = load ptr, ptr %words.p
  %items.p = getelementptr i8, ptr %e, i64 16
  %items = load i64, ptr %items.p
  %grain.p = getelementptr i8, ptr %e, i64 24
  %grain = load i64, ptr %grain.p
  %goal.p = getelementptr i8, ptr %e, i64 32
  %goal = load i64, ptr %goal.p
  %counter.p = getelementptr i8, ptr %e, i64 64
  br label %take
take:
  %own = phi i64 [ 0, %begin ], [ %own.next, %work ]
  %from = atomicrmw add ptr %counter.p, i64 %grain monotonic
  %some = icmp slt i64 %from, %items
  br i1 %some, label %work, label %taken
work:
  %to.full = add i64 %from, %grain
  %over = icmp sgt i64 %to.full, %items
  %to = select i1 %over, i64 %items, i64 %to.full
  call void %fn(ptr %bases, ptr %words, i64 %from, i64 %to, i64 %worker)
  %taken.now = sub i64 %to, %from
  %own.next = add i64 %own, %taken.now
  br label %take
taken:
  %did = icmp ne i64 %own, 0
  br i1 %did, label %report, label %reported
report:
  %before = atomicrmw add ptr %finished.p, i64 %own acq_rel
  br label %reported
reported:
  br label %meet.look
meet.look:
  %spins = phi i32 [ 0, %reported ], [ %spins.next, %meet.again ]
  %finished = load atomic i64, ptr %finished.p acquire, align 8
  %ready = icmp sge i64 %finished, %goal
  br i1 %ready, label %next, label %meet.wait
meet.wait:
  $PAUSE
  %spins.next = add i32 %spins, 1
  %tired = icmp ugt i32 %spins, 2000
  br i1 %tired, label %meet.yield, label %meet.again
meet.yield:
  %y = call i32 @sched_yield()
  br label %meet.again
meet.again:
  br label %meet.look
next:
  %i.next = add i64 %i, 1
  br label %launch
out:
  ret void
}
"""
