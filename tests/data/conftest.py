"""Small corpora and a stand-in tokenizer for the tests of the data room."""

from pathlib import Path

import numpy as np
import pytest

from hornbook.data.documents import Document, document_id, write_documents


class ByteTokenizer:
    """One id per byte: enough to test what happens to ids, without the tokenizer room."""

    def __init__(self):
        self.vocab_size = 257
        self.special = {"<|endoftext|>": 256}

    def encode_many(self, texts, threads):
        return [np.frombuffer(text, np.uint8).astype(np.int32) for text in texts]


@pytest.fixture
def tokenizer():
    return ByteTokenizer()


@pytest.fixture
def corpus(tmp_path):
    """``corpus(texts)`` -> a documents directory; texts are a list or {path: text}."""

    def make(texts, name="documents") -> Path:
        items = texts.items() if isinstance(texts, dict) else enumerate(texts)
        write_documents(
            (Document(document_id("s", str(p)), "s", str(p), t) for p, t in items),
            tmp_path / name,
        )
        return tmp_path / name

    return make
