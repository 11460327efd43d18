import numpy as np
from hornbook.evaluate.ngram import ByteNgram

text = b"the cat sat on the mat. the dog sat on the log. " * 20
model = ByteNgram.train([text], order=4)
for line in (b"the cat sat", b"the cow sat", b"q%7{ xZ"):
    p = model.probabilities(line)
    bits = -np.log2(p)
    print(line.decode(), "costs", bits.round(1).tolist())

every = [model.probabilities(b"the " + bytes([b]))[-1] for b in range(256)]
print("sum of all guesses:", round(sum(every), 6))
