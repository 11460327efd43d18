from hornbook.tokenizer import reference

words = {b"low": 5, b"lower": 2, b"newest": 6, b"widest": 3}
merges = reference.train(words, 8)
tokens = [bytes([b]) for b in range(256)]
for left, right in merges:
    tokens.append(tokens[left] + tokens[right])
print(b" ".join(tokens[256:]).decode())

ranks = {pair: rank for rank, pair in enumerate(merges)}
made = {pair: 256 + rank for rank, pair in enumerate(merges)}
ids = reference.encode(list(b"slowest"), ranks, made)
print(ids, b"|".join(tokens[i] for i in ids).decode())
