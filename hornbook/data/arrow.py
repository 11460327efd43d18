"""The bytes behind an Arrow column of texts, without a copy."""

import numpy as np
import pyarrow as pa


def text_buffers(texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    """``(bytes, offsets)``: text ``i`` is UTF-8 at ``bytes[offsets[i]:offsets[i + 1]]``."""
    if not len(texts):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[
        texts.offset : texts.offset + len(texts) + 1
    ]
    bytes_ = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    return bytes_, ends


def column_texts(table: pa.Table) -> pa.LargeStringArray:
    """The texts of a table as one array."""
    column = table.column("text")
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def text_sizes(table: pa.Table) -> np.ndarray:
    """UTF-8 bytes of each text of a table, int64."""
    return np.diff(text_buffers(column_texts(table))[1])
