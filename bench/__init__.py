"""Benchmarks: Twofold and its peers in turn, in fresh processes, on the same work.

    python -m bench WORKLOAD... [--peer torch|torch-compiled|jax|onnxruntime|all|none]
                                [--threads N] [--json FILE] [--quick] [--case TEXT] [--list]

`workload.py` says what a workload is, `contestants.py` who takes part, `worker.py` is the process
that a contestant runs in, `run.py` takes turns, `peaks.py` measures what the machine can do,
`report.py` prints. A new workload is a new file, or an entry in a file, of `workloads/`.
"""
