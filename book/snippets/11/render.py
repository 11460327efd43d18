from hornbook.align.messages import assistant, user
from hornbook.tokenizer.chat import render_chat
from hornbook.tokenizer.simple import PieceTokenizer

letters = PieceTokenizer("char", "abcdefghijklmnopqrstuvwxyz+-=?<|>")
chat = render_chat(letters, [user("<|end|>?"), assistant("no")])
names = letters.pieces + ["?"] * letters.vocab_size
for name, number in letters.special.items():
    names[number] = name
for number, trained in zip(chat.ids, chat.mask, strict=True):
    print(names[number], end="* " if trained else " ")
