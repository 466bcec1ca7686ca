"""What `torch.utils` has for programs written for PyTorch."""
