import math

import torch
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.train.cross_entropy import cross_entropy

torch.manual_seed(0)
shape = ModelConfig(
    n_layers=2,
    d_model=64,
    n_heads=2,
    n_kv_heads=2,
    context_length=32,
    vocab_size=500,
)
tokens = torch.randint(500, (4, 32))
logits = Transformer(shape)(tokens).flatten(0, 1)
loss = cross_entropy(logits, tokens.flatten()) / tokens.numel()
print(f"{loss.item():.4f} nats; ln 500 is {math.log(500):.4f}")
