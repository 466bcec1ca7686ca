"""`torch.onnx.symbolic_opset11`: empty, since nothing is exported."""
