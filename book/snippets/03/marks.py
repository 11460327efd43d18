from hornbook.tokenizer.bpe import BPETokenizer, Vocabulary

tokenizer = BPETokenizer(Vocabulary.trained([]), "gpt4")  # no merges: bytes
end = tokenizer.special["<|endoftext|>"]
typed = tokenizer.encode("<|endoftext|>")
print("the mark's id:", end, " in typed text:", end in typed, len(typed))

broken = b"caf\xe9 \xf0\x9f"  # not UTF-8
ids = tokenizer.encode(broken)
print("bytes come back:", tokenizer.decode_bytes(ids) == broken)
