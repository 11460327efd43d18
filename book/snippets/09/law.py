from hornbook.train.scaling import PUBLISHED, choose, useful_tokens

sizes = [10e6, 30e6, 100e6, 300e6, 1e9]
budget = 8e18  # operations
best = choose(PUBLISHED, sizes, lambda i: budget / (6 * sizes[i]))
print(f"{sizes[best.index]:.0e} parameters, {best.tokens:.1e} tokens")
print(f"{best.loss:.2f} nats a token expected")
print(f"ten passes over 1e9 tokens: {useful_tokens(10e9, 1e9):.1e} useful")
