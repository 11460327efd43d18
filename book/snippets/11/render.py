from hornbook.align.messages import assistant, user
from hornbook.tokenizer.chat import render_chat
from hornbook.tokenizer.simple import PieceTokenizer

letters = PieceTokenizer("char", "abcdefghijklmnopqrstuvwxyz+-=?<|>")
chat = render_chat(letters, [user("<|end|>?"), assistant("no")])
names = {number: name for name, number in letters.special.items()}
for number, trained in zip(chat.ids.tolist(), chat.mask.tolist(), strict=True):
    print(names.get(number, letters.pieces[number] if number not in names else ""),
          end="* " if trained else " ")
