"""The contract between compiled kernels and whoever calls them: plain words in memory.

Every kernel, whatever emitted it, is one native function

    void kernel(ptr bases, ptr args, i64 begin, i64 end, i64 worker)

`bases` is the plan's array of base pointers, one 8-byte slot each: leaves, outputs, the arena, the
scalars. `args` are this launch's own 8-byte words, fixed when the plan is made. An array argument
takes two words, (slot, byte offset): its address is ``bases[slot] + offset``. A per-worker scratch
argument takes three, (slot, byte offset, bytes per worker): its address is ``bases[slot] + offset +
worker * bytes_per_worker``. A run-time scalar of the program (a Python number) is an array argument
of one element in the scalars' slot. Every other argument is one signed 64-bit word: an extent, a
stride in elements, a count.

A launch has `items` independent work items; the threads of the pool take ranges [begin, end) of at
most `grain` items from a shared counter, so a kernel must give the same result for every split.
Work items of one launch never depend on one another; launches that do depend on one another are
separated by a barrier (`barrier_after`).
"""

WORD_BYTES = 8
"""Size of a slot in `bases` and of a word in `args`."""

ALIGNMENT = 64
"""Every buffer, arena region and scratch block starts on a multiple of this many bytes."""

PADDING = 64
"""Every buffer may be read, never written, this many bytes past its end."""
