import torch
from hornbook.model.attention import attend, attend_plainly

torch.manual_seed(0)
query = torch.randn(1, 4, 6, 16)  # batch, heads, time, d_head
key, value = torch.randn(2, 1, 2, 6, 16)  # two key-value heads

mixed = attend(query, key, value, mask=None)
plain = attend_plainly(query, key, value, mask=None)
print(tuple(mixed.shape), torch.allclose(mixed, plain, atol=1e-5))

value[:, :, -1] = 100.0  # change the last token
again = attend(query, key, value, mask=None)
moved = (again != mixed).any(-1).any(1)[0]
print("places that moved:", moved.int().tolist())
