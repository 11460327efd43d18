import torch
from hornbook.infer.batch import Batch
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.infer.speculate import NGramDrafter
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.simple import PieceTokenizer

letters = PieceTokenizer("char", "abcdefgh")
torch.manual_seed(4)
shape = ModelConfig(n_layers=2, d_model=32, n_heads=2, n_kv_heads=2,
                    context_length=128, init="gpt2",
                    vocab_size=letters.vocab_size)
model = Transformer(shape)
prompt = letters.encode("abcabcab")
cold = SamplingConfig(temperature=0, max_tokens=60)

steps, one = [], Batch.step
Batch.step = lambda batch: (steps.append(1), one(batch))[1]  # count them
for drafter in (None, NGramDrafter()):
    engine = Engine(model, letters, compiled=False, drafter=drafter)
    steps.clear()
    (answer,) = engine.generate([prompt], cold, stop_ids=frozenset())
    print(len(steps), "steps:", answer.ids[:14])
Batch.step = one
