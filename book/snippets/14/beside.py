import torch
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.model.presets import preset
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.simple import PieceTokenizer

letters = PieceTokenizer("char", "abcdefgh")
torch.manual_seed(0)
shape = preset("llama-10m", vocab_size=letters.vocab_size, init="gpt2")
engine = Engine(Transformer(shape), letters, compiled=False)
hot = SamplingConfig(temperature=1.0, max_tokens=24, seed=7)
prompts = [letters.encode(text) for text in ("abc", "hgf", "aaaa")]

alone = engine.generate(prompts[:1], hot, stop_ids=frozenset())
crowd = engine.generate(prompts, hot, stop_ids=frozenset())
print("the same:", alone[0].ids == crowd[0].ids, alone[0].ids[:8])
