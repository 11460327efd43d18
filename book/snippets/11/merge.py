import torch
from hornbook.align.config import LoRAConfig
from hornbook.align.lora import adapters, add_lora, merged
from hornbook.model.presets import preset
from hornbook.model.transformer import Transformer

torch.manual_seed(0)
shape = preset("llama-10m", vocab_size=64, init="gpt2")
model = Transformer(shape).eval()
tokens = torch.arange(16)[None]
plain = model(tokens)
add_lora(model, LoRAConfig(rank=4))
print("at first nothing changes:", torch.equal(model(tokens), plain))

for adapter in adapters(model).values():
    torch.nn.init.normal_(adapter.up, std=0.1)  # as if trained
together = merged(model)
same = torch.allclose(together(tokens), model(tokens), atol=1e-4)
print("merged, the same:", same)
print("adapters left in it:", len(adapters(together)))
