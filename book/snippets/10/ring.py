import numpy as np

ranks, size = 4, 12
vectors = [np.arange(size) * (rank + 1.0) for rank in range(ranks)]
want, sent = sum(vectors), 0
parts = [vector.reshape(ranks, -1).copy() for vector in vectors]

for turn in range(2 * (ranks - 1)):
    summing = turn < ranks - 1
    lead = 0 if summing else 1  # the part that this rank has just finished
    back = turn % (ranks - 1)
    going = [(rank + lead - back) % ranks for rank in range(ranks)]
    messages = [parts[rank][going[rank]].copy() for rank in range(ranks)]
    for rank, message in enumerate(messages):
        to = (rank + 1) % ranks
        if summing:
            parts[to][going[rank]] += message
        else:
            parts[to][going[rank]] = message
    sent += messages[0].size

right = all((part.reshape(-1) == want).all() for part in parts)
print("all have the sum:", right)
print(f"each sent {sent} numbers, 2 (n - 1) / n of {size}")
