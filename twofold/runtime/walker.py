"""The native code that walks a plan: worker loop, shared counters, barriers. As LLVM text.

A team is 256 bytes: @0 i32 generation, @64 i32 workers done, @128 pointer to the plan, @136 i64 size of
the team. A plan is 128 bytes: @0 i64 launches, @8 table, @16 bases, @24 times or null, @64 i64 barrier
count. An entry of the table is 128 bytes: @0 function, @8 words, @16 items, @24 grain, @32 barrier
after, @64 next item.
"""

from __future__ import annotations

TEAM_BYTES, PLAN_BYTES, ENTRY_BYTES = 256, 128, 128

_FUTEX_WAIT = (
    "%slept.r = call i64 (i64, ...) @syscall(i64 {number}, ptr %team, i64 128, i32 %last, "
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
        wait, wake = _YIELD.format(result="%slept.r"), ""
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
declare i64 @llvm.readcyclecounter()
$DECLARE

define void @twofold_worker(ptr %team, i64 %worker) {
entry:
  %first = load atomic i32, ptr %team acquire, align 4
  %done.p = getelementptr i8, ptr %team, i64 64
  %plan.p = getelementptr i8, ptr %team, i64 128
  %size.p = getelementptr i8, ptr %team, i64 136
  br label %idle
idle:
  %last = phi i32 [ 0, %entry ], [ %now, %ran ]
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
  $WAIT
  br label %look
go:
  %plan = load ptr, ptr %plan.p
  %stop = icmp eq ptr %plan, null
  br i1 %stop, label %exit, label %ran
ran:
  %size = load i64, ptr %size.p
  call void @walk(ptr %plan, i64 %worker, i64 %size)
  %before = atomicrmw add ptr %done.p, i32 1 release
  br label %idle
exit:
  ret void
}

define void @twofold_run(ptr %team, ptr %plan) {
entry:
  %done.p = getelementptr i8, ptr %team, i64 64
  %plan.p = getelementptr i8, ptr %team, i64 128
  %size.p = getelementptr i8, ptr %team, i64 136
  %size = load i64, ptr %size.p
  %has.plan = icmp ne ptr %plan, null
  br i1 %has.plan, label %reset, label %start
reset:
  %n = load i64, ptr %plan
  %table.p = getelementptr i8, ptr %plan, i64 8
  %table = load ptr, ptr %table.p
  %barrier.p = getelementptr i8, ptr %plan, i64 64
  store i64 0, ptr %barrier.p
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
  %alone = icmp ule i64 %size, 1
  br i1 %alone, label %solo, label %wake
solo:
  br i1 %has.plan, label %solo.walk, label %out
solo.walk:
  call void @walk(ptr %plan, i64 0, i64 1)
  br label %out
wake:
  store atomic i32 0, ptr %done.p release, align 4
  store ptr %plan, ptr %plan.p
  %g = atomicrmw add ptr %team, i32 1 seq_cst
  $WAKE
  br i1 %has.plan, label %mine, label %out
mine:
  call void @walk(ptr %plan, i64 0, i64 %size)
  %others = sub i64 %size, 1
  br label %wait
wait:
  %waits = phi i32 [ 0, %mine ], [ %waits.next, %again ]
  %d = load atomic i32, ptr %done.p acquire, align 4
  %d.wide = zext i32 %d to i64
  %all = icmp uge i64 %d.wide, %others
  br i1 %all, label %out, label %wait.more
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

define internal void @walk(ptr %plan, i64 %worker, i64 %size) {
entry:
  %n = load i64, ptr %plan
  %table.p = getelementptr i8, ptr %plan, i64 8
  %table = load ptr, ptr %table.p
  %bases.p = getelementptr i8, ptr %plan, i64 16
  %bases = load ptr, ptr %bases.p
  %times.p = getelementptr i8, ptr %plan, i64 24
  %times = load ptr, ptr %times.p
  %barrier.p = getelementptr i8, ptr %plan, i64 64
  %timed.any = icmp ne ptr %times, null
  %is.first = icmp eq i64 %worker, 0
  %timed = and i1 %timed.any, %is.first
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
  %after.p = getelementptr i8, ptr %e, i64 32
  %after = load i64, ptr %after.p
  %counter.p = getelementptr i8, ptr %e, i64 64
  br label %take
take:
  %from = atomicrmw add ptr %counter.p, i64 %grain monotonic
  %some = icmp slt i64 %from, %items
  br i1 %some, label %work, label %taken
work:
  %to.full = add i64 %from, %grain
  %over = icmp sgt i64 %to.full, %items
  %to = select i1 %over, i64 %items, i64 %to.full
  call void %fn(ptr %bases, ptr %words, i64 %from, i64 %to, i64 %worker)
  br label %take
taken:
  %meet.flag = icmp ne i64 %after, 0
  %meet = or i1 %meet.flag, %timed.any
  br i1 %meet, label %meet.begin, label %next
meet.begin:
  %crowd = icmp ugt i64 %size, 1
  br i1 %crowd, label %arrive, label %met
arrive:
  %a = atomicrmw add ptr %barrier.p, i64 1 acq_rel
  %round = udiv i64 %a, %size
  %round.next = add i64 %round, 1
  %goal = mul i64 %round.next, %size
  br label %meet.look
meet.look:
  %spins = phi i32 [ 0, %arrive ], [ %spins.next, %meet.again ]
  %b = load atomic i64, ptr %barrier.p acquire, align 8
  %ready = icmp uge i64 %b, %goal
  br i1 %ready, label %met, label %meet.wait
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
met:
  br i1 %timed, label %stamp, label %next
stamp:
  %slot = getelementptr i64, ptr %times, i64 %i
  %now = call i64 @llvm.readcyclecounter()
  store i64 %now, ptr %slot
  br label %next
next:
  %i.next = add i64 %i, 1
  br label %launch
out:
  ret void
}
"""
