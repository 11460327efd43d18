from hornbook.tokenizer.pretokenize import split

for pattern in ("gpt2", "gpt4"):
    print(pattern, split("In 1984 it's 12345.67\n    return x", pattern))
