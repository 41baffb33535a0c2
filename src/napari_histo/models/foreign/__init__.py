"""Models that others made and described: ONNX and TorchScript."""
