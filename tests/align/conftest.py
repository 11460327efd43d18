import torch

torch.set_num_threads(1)  # the models here are too small to share out
