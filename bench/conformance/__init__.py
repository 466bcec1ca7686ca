"""How much of PyTorch's surface is here, and whether it gives what PyTorch gives.

    python -m bench.conformance                     everything; writes docs/pytorch_names.md
    python -m bench.conformance --only softmax,add  some of PyTorch's own test entries, in detail
    python -m bench.conformance --json results.json results as data (also --from results.json)

The samples are PyTorch's: the entries of its database of ops (`op_db`), of modules and of
optimizers, with their own sample inputs and error cases. Each entry runs in a worker process with
a time limit, so that a hang or a crash is one failure. It needs the extra `peers` and the small
package `expecttest`, which PyTorch's test modules import.
"""
