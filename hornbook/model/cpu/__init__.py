"""What a CPU needs beyond PyTorch to train at its full speed."""
