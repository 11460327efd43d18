"""Decoding arrays of ids: every token's bytes end to end, and one copy per id."""

import numpy as np

from hornbook.tokenizer.kernels.encode import token_bytes


class Decoder:
    """The bytes of a vocabulary, ready for the kernel."""

    def __init__(self, tokens: list[bytes], vocab_size: int) -> None:
        sizes = np.zeros(vocab_size + 1, np.int64)
        sizes[1 : len(tokens) + 1] = [len(token) for token in tokens]
        self.offsets = np.cumsum(sizes)
        self.blob = np.frombuffer(b"".join(tokens) + bytes(16), np.uint8)
        self.longest = int(sizes.max())

    def decode(self, ids: np.ndarray) -> bytes:
        """The bytes of ``ids``; IndexError for an id outside the vocabulary."""
        if len(ids) and not 0 <= ids.min() <= ids.max() < len(self.offsets) - 1:
            raise IndexError("an id lies outside the vocabulary")
        ids = np.ascontiguousarray(ids, np.int32)
        size = int((self.offsets[ids + 1] - self.offsets[ids]).sum())
        out = np.empty(size + 16, np.uint8)
        return out[: token_bytes(ids, self.blob, self.offsets, out)].tobytes()
