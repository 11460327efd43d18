import torch
from hornbook.train.cross_entropy import cross_entropy

logits = torch.tensor([[95.0, 3.0, -2.0]])
target = torch.tensor([1])
naive = -(logits.exp()[0, target] / logits.exp().sum()).log()
ours = cross_entropy(logits, target)
print("by the book:", naive.item(), " by the code:", ours.item())
