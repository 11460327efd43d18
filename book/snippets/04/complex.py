import torch
from hornbook.model.rope import frequencies, rotate

torch.manual_seed(0)
x = torch.randn(1, 1, 5, 8)  # batch, heads, time, width
speeds, _ = frequencies(8, 10_000.0, None)
angles = torch.outer(torch.arange(5).double(), speeds)

turned = rotate(x, (angles.cos().float(), angles.sin().float()))
points = torch.complex(*x.double().chunk(2, dim=-1))
again = points * torch.polar(torch.ones_like(angles), angles)
again = torch.cat((again.real, again.imag), -1)
print(torch.allclose(turned.double(), again, atol=1e-6))
