import torch
from hornbook.model.attention import attend_plainly

query, key, value = torch.randn(3, 1, 1, 3, 4)
mask = torch.ones(1, 1, 3, 3, dtype=torch.bool).tril()
mask[..., 0, :] = False  # padding hid the first token from itself
mixed = attend_plainly(query, key, value, mask)
print(mixed[0, 0].isnan().all(-1).tolist())
