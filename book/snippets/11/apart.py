import torch
from hornbook.align.messages import Conversation, assistant, user
from hornbook.align.sft import pack
from hornbook.model.presets import preset
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.simple import PieceTokenizer

letters = PieceTokenizer("char", "abcdefghijklmnopqrstuvwxyz")
pairs = (("cat", "u"), ("dog", "hi"))
chats = [Conversation([user(q), assistant(a)]) for q, a in pairs]
row = pack(chats, letters, context_length=32).batch(slice(0, 1))

torch.manual_seed(0)
shape = preset("llama-10m", vocab_size=letters.vocab_size, init="gpt2")
model = Transformer(shape)
first, second = row.segments[0] == 1, row.segments[0] == 2
before = model(row.tokens, segments=row.segments)[0]
row.tokens[0, 2] = letters.encode("z")[0]  # change the first conversation
after = model(row.tokens, segments=row.segments)[0]
print("first moved:", not torch.equal(before[first], after[first]))
print("second moved:", not torch.equal(before[second], after[second]))
