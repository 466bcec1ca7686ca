"""PyTorch 0.1 (of early 2017): what its programs spell otherwise, for `--as torch==0.1`.

`autograd.py` has `Variable` and functions as instances; `semantics.py` changes what methods of
tensors mean. Every variable is a tensor and every tensor a variable, as in today's PyTorch, and a
tensor of no axes stands for the numbers and the tensors of one element that 0.1 made.
"""
