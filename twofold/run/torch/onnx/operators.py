"""`torch.onnx.operators`: empty, since nothing is exported."""
