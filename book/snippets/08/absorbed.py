import torch

for dtype in (torch.float32, torch.bfloat16):
    weight = torch.ones((), dtype=dtype)
    for _ in range(1000):
        weight -= 0.001  # a thousand steps of an optimizer
    print(dtype, weight.item())
