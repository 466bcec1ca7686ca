"""The native code that walks a plan: worker loop, shared counters, barriers. As LLVM text.

A team is 256 bytes: @0 i32 generation, @4 i32 whether the plan is open, @64 i32 workers inside, @68
i32 workers asleep, @128 pointer to the plan, @136 i64 size of the team. A plan is 128 bytes: @0 i64
entries, @8 table, @16 bases, @24 times or null, @32 i64 whether the caller walks it alone, @40 i64
bases to copy for each thread, 0 if there are no loops, @48 i64 size of the team, @56 the log of
decisions or null, @64 i64 items done. An entry of the table is 128 bytes: @0 function, @8 words,
@16 items, @24 grain, @32 i64 whether all threads meet then, @40 i64 what it is, @64 i64 what is
taken.

An entry is a launch (@40 is 0), the begin of a loop (1) or its end (2), or a jump. The entries
between are run as often as the loop says. The words of a begin are (rounds, n, then n times: slot,
slot it starts from, offset, step in bytes): each round the base of a slot moves on by its step, in
each thread's own copy of the bases. The words of an end are those of its begin, preceded by the
begin's number. Loops may lie within loops.

Jumps direct the walk by values: "enter" (3) begins a loop without a number of rounds; "unless" (4),
with the words (slot, offset, target, levels), goes on after the entry `target` if the byte there is
0, out of so many loops; "goto" (5), with (target, whether that begins a round), goes on after its
target; "mark" (6) does nothing. All threads must go one way, but the byte may have been written
over when a late one comes to see it. So the caller decides, and writes down the way in the log: @0
i64 decisions made, @64 a byte for each of the last DECISIONS. The others wait for it; one that is
so late that its decision is no longer in the log leaves the plan, as nobody waits for it. A round
of such a loop is numbered by the decisions made before.

A thread takes `grain` items at a time. Where that makes at most 32 parts, @64 is the round of the
loops around, times 2^32, and a bit for each part that is taken in it. A thread begins at its own
share of the parts, so that what it wrote in the launch before, or in the last step, lies in its own
cache, and goes on to those that others have not come to. Where there are more parts, @64 is the
next item: those of round r are r * items and on, up to (r + 1) * items, and a round may be left
out. In both ways a thread that comes late takes nothing of a round that is over.

Threads meet where the count of items done says that all work before is finished, not where a number
of threads has arrived. So a worker that the system has not woken, or has put aside, is waited for
only if it holds an item: on a crowded machine the caller does the work of those that are late. A
worker enters (@64) before it looks whether the plan is still open (@4); the caller closes the plan
before it waits for those inside, so none is left in a plan that is over.

A thread that finds a bad value in the error record (slot 0 of the bases) leaves: after a meeting,
all do, so launches of later phases do not run, and what they would overwrite stays.
"""

from __future__ import annotations

TEAM_BYTES, PLAN_BYTES, ENTRY_BYTES = 256, 128, 128
LAUNCH, BEGIN, END, ENTER, UNLESS, GOTO, MARK = range(7)
"""What an entry is."""

DECISIONS = 1024
"""How many decisions the log of a plan holds."""

LOG_BYTES = 64 + DECISIONS

MAX_DEPTH = 8
"""How deep loops may lie in one another; `plan.py` refuses more."""

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
        .replace("$LEVELS", str(MAX_DEPTH + 1))
        .replace("$LAST", str(DECISIONS - 1))
        .replace("$SAFE", str(DECISIONS - 64))
    )


_SOURCE = r"""
declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
declare i64 @llvm.readcyclecounter()
declare i64 @llvm.fshr.i64(i64, i64, i64)
declare i64 @llvm.cttz.i64(i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
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
  %team.size.p = getelementptr i8, ptr %plan, i64 48
  store i64 %size, ptr %team.size.p
  %table.p = getelementptr i8, ptr %plan, i64 8
  %table = load ptr, ptr %table.p
  %alone.p = getelementptr i8, ptr %plan, i64 32
  %alone = load i64, ptr %alone.p
  %finished.p = getelementptr i8, ptr %plan, i64 64
  store i64 0, ptr %finished.p
  %log.p = getelementptr i8, ptr %plan, i64 56
  %log = load ptr, ptr %log.p
  %has.log = icmp ne ptr %log, null
  br i1 %has.log, label %reset.log, label %reset.look
reset.log:
  store i64 0, ptr %log
  br label %reset.look
reset.look:
  %i = phi i64 [ 0, %reset ], [ 0, %reset.log ], [ %i.next, %reset.one ]
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
  %bases.all = load ptr, ptr %bases.p
  %times.p = getelementptr i8, ptr %plan, i64 24
  %times = load ptr, ptr %times.p
  %copied.p = getelementptr i8, ptr %plan, i64 40
  %copied = load i64, ptr %copied.p
  %finished.p = getelementptr i8, ptr %plan, i64 64
  %error.p = load ptr, ptr %bases.all
  %team.size.p = getelementptr i8, ptr %plan, i64 48
  %size = load i64, ptr %team.size.p
  %log.p = getelementptr i8, ptr %plan, i64 56
  %log = load ptr, ptr %log.p
  %decided.p = alloca i64
  store i64 0, ptr %decided.p
  %timed.any = icmp ne ptr %times, null
  %is.first = icmp eq i64 %worker, 0
  %timed = and i1 %timed.any, %is.first
  %clock = alloca i64
  %started = call i64 @llvm.readcyclecounter()
  store i64 %started, ptr %clock
  %turns = alloca [$LEVELS x i64]
  %rounds = alloca [$LEVELS x i64]
  store i64 0, ptr %rounds
  %own.bases = alloca i64, i64 %copied, align 16
  %loops.any = icmp ne i64 %copied, 0
  br i1 %loops.any, label %copy, label %launch.first
copy:
  %copied.bytes = mul i64 %copied, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %own.bases, ptr %bases.all, i64 %copied.bytes, i1 false)
  br label %launch.first
launch.first:
  %bases = phi ptr [ %bases.all, %entry ], [ %own.bases, %copy ]
  br label %launch
launch:
  %i = phi i64 [ 0, %launch.first ], [ %i.next, %next ]
  %total = phi i64 [ 0, %launch.first ], [ %total.now, %next ]
  %depth = phi i64 [ 0, %launch.first ], [ %depth.now, %next ]
  %more = icmp ult i64 %i, %n
  br i1 %more, label %look.wrong, label %out
look.wrong:
  %error = load atomic i64, ptr %error.p monotonic, align 8
  %right = icmp eq i64 %error, 0
  br i1 %right, label %begin, label %out
begin:
  %at = mul i64 %i, 128
  %e = getelementptr i8, ptr %table, i64 %at
  %fn = load ptr, ptr %e
  %words.p = getelementptr i8, ptr %e, i64 8
  %words = load ptr, ptr %words.p
  %kind.p = getelementptr i8, ptr %e, i64 40
  %kind = load i64, ptr %kind.p
  %round.p = getelementptr i64, ptr %rounds, i64 %depth
  %round = load i64, ptr %round.p
  switch i64 %kind, label %kernel [ i64 1, label %loop.begin
                                    i64 2, label %loop.end
                                    i64 3, label %enter
                                    i64 4, label %unless
                                    i64 5, label %goto
                                    i64 6, label %next ]

enter:
  %level = add i64 %depth, 1
  %level.round = load i64, ptr %decided.p
  %level.round.p = getelementptr i64, ptr %rounds, i64 %level
  store i64 %level.round, ptr %level.round.p
  br label %next
unless:
  %decision = load i64, ptr %decided.p
  %decision.next = add i64 %decision, 1
  store i64 %decision.next, ptr %decided.p
  %place.bit = and i64 %decision, $LAST
  %bit.at = add i64 %place.bit, 64
  %bit.p = getelementptr i8, ptr %log, i64 %bit.at
  br i1 %is.first, label %decide, label %learn
decide:
  %flag.slot = load i64, ptr %words
  %flag.offset.p = getelementptr i64, ptr %words, i64 1
  %flag.offset = load i64, ptr %flag.offset.p
  %flag.base.p = getelementptr i64, ptr %bases, i64 %flag.slot
  %flag.base = load ptr, ptr %flag.base.p
  %flag.p = getelementptr i8, ptr %flag.base, i64 %flag.offset
  %flag.seen = load i8, ptr %flag.p
  store atomic i8 %flag.seen, ptr %bit.p monotonic, align 1
  store atomic i64 %decision.next, ptr %log release, align 8
  br label %go.on
learn:
  %learn.spins = phi i32 [ 0, %unless ], [ %learn.spins.next, %learn.again ]
  %made = load atomic i64, ptr %log acquire, align 8
  %is.made = icmp sgt i64 %made, %decision
  br i1 %is.made, label %learn.read, label %learn.wait
learn.wait:
  $PAUSE
  %learn.spins.next = add i32 %learn.spins, 1
  %learn.tired = icmp ugt i32 %learn.spins, 2000
  br i1 %learn.tired, label %learn.yield, label %learn.again
learn.yield:
  %learn.y = call i32 @sched_yield()
  br label %learn.again
learn.again:
  br label %learn
learn.read:
  %flag.told = load atomic i8, ptr %bit.p acquire, align 1
  %made.now = load atomic i64, ptr %log acquire, align 8
  %behind.by = sub i64 %made.now, %decision
  %is.late = icmp sgt i64 %behind.by, $SAFE
  br i1 %is.late, label %out, label %go.on
go.on:
  %flag = phi i8 [ %flag.seen, %decide ], [ %flag.told, %learn.read ]
  %flag.holds = icmp ne i8 %flag, 0
  %unless.to.p = getelementptr i64, ptr %words, i64 2
  %unless.to = load i64, ptr %unless.to.p
  %levels.p = getelementptr i64, ptr %words, i64 3
  %levels = load i64, ptr %levels.p
  %left.depth = sub i64 %depth, %levels
  %unless.from = select i1 %flag.holds, i64 %i, i64 %unless.to
  %unless.depth = select i1 %flag.holds, i64 %depth, i64 %left.depth
  br label %next
goto:
  %goto.to = load i64, ptr %words
  %begins.p = getelementptr i64, ptr %words, i64 1
  %begins = load i64, ptr %begins.p
  %begins.any = icmp ne i64 %begins, 0
  br i1 %begins.any, label %goto.round, label %next
goto.round:
  %again.round = load i64, ptr %decided.p
  store i64 %again.round, ptr %round.p
  br label %next

loop.begin:
  %count.new = load i64, ptr %words
  %deeper = add i64 %depth, 1
  %turn.new.p = getelementptr i64, ptr %turns, i64 %deeper
  store i64 0, ptr %turn.new.p
  %round.new = mul i64 %round, %count.new
  %round.new.p = getelementptr i64, ptr %rounds, i64 %deeper
  store i64 %round.new, ptr %round.new.p
  %steps.new.p = getelementptr i64, ptr %words, i64 1
  %steps.new = load i64, ptr %steps.new.p
  br label %place
place:
  %k = phi i64 [ 0, %loop.begin ], [ %k.next, %place.one ]
  %place.more = icmp ult i64 %k, %steps.new
  br i1 %place.more, label %place.one, label %next
place.one:
  %k4 = mul i64 %k, 4
  %k4.at = add i64 %k4, 2
  %step.p = getelementptr i64, ptr %words, i64 %k4.at
  %slot = load i64, ptr %step.p
  %from.slot.p = getelementptr i64, ptr %step.p, i64 1
  %from.slot = load i64, ptr %from.slot.p
  %offset.p = getelementptr i64, ptr %step.p, i64 2
  %offset = load i64, ptr %offset.p
  %from.base.p = getelementptr i64, ptr %bases, i64 %from.slot
  %from.base = load i64, ptr %from.base.p
  %placed = add i64 %from.base, %offset
  %slot.p = getelementptr i64, ptr %bases, i64 %slot
  store i64 %placed, ptr %slot.p
  %k.next = add i64 %k, 1
  br label %place

loop.end:
  %first = load i64, ptr %words
  %count.p = getelementptr i64, ptr %words, i64 1
  %count = load i64, ptr %count.p
  %turn.p = getelementptr i64, ptr %turns, i64 %depth
  %turn = load i64, ptr %turn.p
  %turn.next = add i64 %turn, 1
  store i64 %turn.next, ptr %turn.p
  %round.next = add i64 %round, 1
  store i64 %round.next, ptr %round.p
  %again = icmp slt i64 %turn.next, %count
  %shallower = sub i64 %depth, 1
  %steps.p = getelementptr i64, ptr %words, i64 2
  %steps = load i64, ptr %steps.p
  br i1 %again, label %move, label %next
move:
  %m = phi i64 [ 0, %loop.end ], [ %m.next, %move.one ]
  %move.more = icmp ult i64 %m, %steps
  br i1 %move.more, label %move.one, label %next
move.one:
  %m4 = mul i64 %m, 4
  %m4.at = add i64 %m4, 3
  %moved.p = getelementptr i64, ptr %words, i64 %m4.at
  %moved.slot = load i64, ptr %moved.p
  %by.p = getelementptr i64, ptr %moved.p, i64 3
  %by = load i64, ptr %by.p
  %moved.base.p = getelementptr i64, ptr %bases, i64 %moved.slot
  %moved.base = load i64, ptr %moved.base.p
  %moved.base.next = add i64 %moved.base, %by
  store i64 %moved.base.next, ptr %moved.base.p
  %m.next = add i64 %m, 1
  br label %move

kernel:
  %items.p = getelementptr i8, ptr %e, i64 16
  %items = load i64, ptr %items.p
  %grain.p = getelementptr i8, ptr %e, i64 24
  %grain = load i64, ptr %grain.p
  %meets.p = getelementptr i8, ptr %e, i64 32
  %meets = load i64, ptr %meets.p
  %counter.p = getelementptr i8, ptr %e, i64 64
  %total.next = add i64 %total, %items
  %low = mul i64 %round, %items
  %high = add i64 %low, %items
  %padded = add i64 %items, %grain
  %padded.less = sub i64 %padded, 1
  %parts = udiv i64 %padded.less, %grain
  %parts.less = sub i64 %parts, 1
  %few = icmp ult i64 %parts.less, 32
  %shares = mul i64 %worker, %parts
  %start = udiv i64 %shares, %size
  %missing = sub i64 64, %parts
  %all = lshr i64 -1, %missing
  %mark = shl i64 %round, 32
  br label %take
take:
  %own = phi i64 [ 0, %kernel ], [ %own.next, %work ]
  %seen.first = load atomic i64, ptr %counter.p monotonic, align 8
  br i1 %few, label %claim.try, label %take.try
claim.try:
  %marks = phi i64 [ %seen.first, %take ], [ %marks.now, %claim.one ]
  %marks.round = lshr i64 %marks, 32
  %is.over = icmp ugt i64 %marks.round, %round
  br i1 %is.over, label %taken, label %claim.look
claim.look:
  %is.now = icmp eq i64 %marks.round, %round
  %marks.held = select i1 %is.now, i64 %marks, i64 %mark
  %not.held = xor i64 %marks.held, -1
  %free = and i64 %not.held, %all
  %turned = call i64 @llvm.fshr.i64(i64 %free, i64 %free, i64 %start)
  %any.free = icmp ne i64 %turned, 0
  br i1 %any.free, label %claim.one, label %taken
claim.one:
  %past = call i64 @llvm.cttz.i64(i64 %turned, i1 true)
  %part.far = add i64 %past, %start
  %part = and i64 %part.far, 63
  %bit = shl i64 1, %part
  %marks.new = or i64 %marks.held, %bit
  %claim = cmpxchg ptr %counter.p, i64 %marks, i64 %marks.new monotonic monotonic, align 8
  %marks.now = extractvalue { i64, i1 } %claim, 0
  %claimed = extractvalue { i64, i1 } %claim, 1
  %part.from = mul i64 %part, %grain
  %part.full = add i64 %part.from, %grain
  %part.over = icmp sgt i64 %part.full, %items
  %part.to = select i1 %part.over, i64 %items, i64 %part.full
  br i1 %claimed, label %work, label %claim.try
take.try:
  %seen = phi i64 [ %seen.first, %take ], [ %seen.now, %take.one ]
  %is.earlier = icmp slt i64 %seen, %low
  %first.free = select i1 %is.earlier, i64 %low, i64 %seen
  %some = icmp slt i64 %first.free, %high
  br i1 %some, label %take.one, label %taken
take.one:
  %to.full = add i64 %first.free, %grain
  %over = icmp sgt i64 %to.full, %high
  %to = select i1 %over, i64 %high, i64 %to.full
  %swap = cmpxchg ptr %counter.p, i64 %seen, i64 %to monotonic monotonic, align 8
  %seen.now = extractvalue { i64, i1 } %swap, 0
  %swapped = extractvalue { i64, i1 } %swap, 1
  %next.from = sub i64 %first.free, %low
  %next.to = sub i64 %to, %low
  br i1 %swapped, label %work, label %take.try
work:
  %item.from = phi i64 [ %part.from, %claim.one ], [ %next.from, %take.one ]
  %item.to = phi i64 [ %part.to, %claim.one ], [ %next.to, %take.one ]
  call void %fn(ptr %bases, ptr %words, i64 %item.from, i64 %item.to, i64 %worker)
  %taken.now = sub i64 %item.to, %item.from
  %own.next = add i64 %own, %taken.now
  br label %take
taken:
  %did = icmp ne i64 %own, 0
  br i1 %did, label %report, label %reported
report:
  %before = atomicrmw add ptr %finished.p, i64 %own acq_rel
  br label %reported
reported:
  %meets.here = icmp ne i64 %meets, 0
  %meets.now = or i1 %meets.here, %timed.any
  br i1 %meets.now, label %meet.look, label %met
meet.look:
  %spins = phi i32 [ 0, %reported ], [ %spins.next, %meet.again ]
  %finished = load atomic i64, ptr %finished.p acquire, align 8
  %ready = icmp sge i64 %finished, %total.next
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
  %time.p = getelementptr i64, ptr %times, i64 %i
  %time = load i64, ptr %time.p
  %now = call i64 @llvm.readcyclecounter()
  %then = load i64, ptr %clock
  %passed = sub i64 %now, %then
  %time.next = add i64 %time, %passed
  store i64 %time.next, ptr %time.p
  store i64 %now, ptr %clock
  br label %next
next:
  %from = phi i64 [ %i, %met ], [ %i, %stamp ], [ %i, %place ], [ %i, %loop.end ],
                  [ %first, %move ], [ %i, %begin ], [ %i, %enter ],
                  [ %unless.from, %go.on ], [ %goto.to, %goto ], [ %goto.to, %goto.round ]
  %total.now = phi i64 [ %total.next, %met ], [ %total.next, %stamp ], [ %total, %place ],
                       [ %total, %loop.end ], [ %total, %move ], [ %total, %begin ],
                       [ %total, %enter ], [ %total, %go.on ], [ %total, %goto ],
                       [ %total, %goto.round ]
  %depth.now = phi i64 [ %depth, %met ], [ %depth, %stamp ], [ %deeper, %place ],
                       [ %shallower, %loop.end ], [ %depth, %move ], [ %depth, %begin ],
                       [ %level, %enter ], [ %unless.depth, %go.on ], [ %depth, %goto ],
                       [ %depth, %goto.round ]
  %i.next = add i64 %from, 1
  br label %launch
out:
  ret void
}
"""
