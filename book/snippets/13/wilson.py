from hornbook.evaluate.compare import mcnemar
from hornbook.evaluate.intervals import wilson

for right, n in ((0, 164), (41, 164), (343, 1319), (5000, 14042)):
    low, high = wilson(right, n)
    print(f"{right:5} of {n:5}: {low:.3f} to {high:.3f}")

print(f"12 only A, 20 only B: p = {mcnemar(12, 20):.3f}")
print(f"30 only A, 60 only B: p = {mcnemar(30, 60):.4f}")
