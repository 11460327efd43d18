import torch
from hornbook.model.norm import RMSNorm

x = torch.randn(1, 8, requires_grad=True)
norm = RMSNorm(8, eps=0.0)
same = torch.allclose(norm(x), norm(50 * x), atol=1e-6)
print("the same after times 50:", same)
norm(x)[0, 3].backward()
print(f"slope along x itself: {(x.grad * x).sum().abs():.6f}")
