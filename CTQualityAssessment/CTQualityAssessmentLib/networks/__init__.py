"""Networks: ``nn.Module`` only. They know tensors, not volumes, windows, files or results."""
