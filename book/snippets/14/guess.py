import torch
from hornbook.infer.batch import Batch
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.infer.speculate import NGramDrafter
from hornbook.model.presets import preset
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.simple import PieceTokenizer

letters = PieceTokenizer("char", "abcdefgh")
torch.manual_seed(4)
shape = preset("llama-10m", vocab_size=letters.vocab_size, init="gpt2")
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
