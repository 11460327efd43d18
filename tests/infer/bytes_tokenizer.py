"""The smallest honest tokenizer: ids are bytes, and two specials after them."""

import codecs


class BytesTokenizer:
    def __init__(self):
        names = ("<|endoftext|>", "<|pad|>", "<|user|>", "<|end|>")
        self.special = {name: 256 + n for n, name in enumerate(names)}
        self.vocab_size = 260

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode_bytes(self, ids: list[int]) -> bytes:
        return bytes(i for i in ids if i < 256)

    def decode(self, ids: list[int]) -> str:
        return self.decode_bytes(ids).decode(errors="replace")

    def stream_decoder(self):
        return StreamDecoder()


class StreamDecoder:
    def __init__(self):
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        return self.decoder.decode(bytes([token]) if token < 256 else b"")

    def flush(self) -> str:
        return self.decoder.decode(b"", final=True)
