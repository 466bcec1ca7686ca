"""`torch.ao`: quantization, of which there is none."""
