import torch
from hornbook.model.rope import frequencies, rotate

torch.manual_seed(0)
query, key = torch.randn(2, 1, 1, 1, 64)
speeds, _ = frequencies(64, base=10_000.0, scaling=None)

def at(x, place):
    angles = (place * speeds).float()
    return rotate(x, (angles.cos(), angles.sin()))

for m, n in ((7, 3), (107, 103), (1007, 1003), (7, 4)):
    print(m, n, round(float((at(query, m) * at(key, n)).sum()), 3))
print("same length:", torch.allclose(at(query, 999).norm(), query.norm()))
