"""Programs written for PyTorch, run on Twofold: `python -m twofold.run --as torch script.py`.

`finder.py` answers `import torch` and `import torch.anything` with Twofold's modules; `launch.py`
starts the program. `torch/` holds what PyTorch has and Twofold's own packages have no place for
(tensor types such as `FloatTensor`, `torch.backends`, `torch.library`); `torch_0_1/` what changed
since PyTorch 0.1.
"""
