"""From text to shards no token becomes an object of Python's."""

import tracemalloc

from hornbook.data.shards import Shards, write_shards
from hornbook.tokenizer.bpe import BPETokenizer, Vocabulary

FIRST = 1000  # ids of bytes from here on: Python keeps no such numbers ready
OBJECT = 36  # bytes of a number in a list, at least


def peak_of(work) -> int:
    """The most memory, bytes, that ``work`` takes at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_shards_are_written_without_an_object_for_each_token(corpus, tmp_path):
    tokenizer = BPETokenizer(Vocabulary(range(FIRST, FIRST + 256), [], []), "gpt4")
    text = "some words, all of them alike. " * 30_000
    documents = corpus([text])
    tokenizer.encode_batch([text])  # tables and kernels are not what is measured
    peak = peak_of(lambda: write_shards(documents, tokenizer, tmp_path / "shards"))
    shards = Shards.open(tmp_path / "shards")
    assert shards.tokens == len(text) + 1
    assert shards.read(0, 4).tolist() == [FIRST + byte for byte in b"some"]
    assert peak < OBJECT * len(text) * 0.8
    assert peak_of(lambda: tokenizer.encode(text)) > OBJECT * len(text)
