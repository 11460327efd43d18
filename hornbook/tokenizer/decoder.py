"""Decoding arrays of ids: every token ready in a slot of sixteen bytes."""

import numpy as np

from hornbook.tokenizer.kernels.decode import decoded_size, token_bytes

LONG = 255  # in a slot's last byte: the token is in the blob


class Decoder:
    """The bytes of a vocabulary, ready for the kernels."""

    def __init__(self, tokens: list[bytes], vocab_size: int) -> None:
        self.sizes = np.zeros(vocab_size, np.int32)
        self.sizes[: len(tokens)] = [len(token) for token in tokens]
        self.offsets = np.zeros(vocab_size + 1, np.int64)
        np.cumsum(self.sizes, out=self.offsets[1:])
        self.blob = np.frombuffer(b"".join(tokens) + bytes(16), np.uint8)
        slots = [
            token.ljust(15, b"\0") + bytes([len(token)])
            if len(token) < 16
            else bytes([0] * 15 + [LONG])
            for token in tokens
        ]
        self.slots = np.zeros(2 * vocab_size, np.uint64)
        self.slots[: 2 * len(tokens)] = np.frombuffer(b"".join(slots), np.uint64)

    def decode(self, ids: np.ndarray) -> bytes:
        """The bytes of ``ids``; IndexError for an id outside the vocabulary."""
        narrow = np.can_cast(ids.dtype, np.int32)
        ids = np.ascontiguousarray(ids, np.int32 if narrow else np.int64)
        size = decoded_size(ids, self.sizes)
        if size < 0:
            raise IndexError("an id lies outside the vocabulary")
        out = np.empty(size + 16, np.uint8)
        token_bytes(ids, self.slots, self.offsets, self.blob, out)
        return out[:size].tobytes()
