import numpy as np
import pyarrow as pa
from hornbook.data.arrow import text_buffers
from hornbook.data.dedup.minhash import band_keys, jaccard
from hornbook.data.dedup.sets import flat_sets

text = (
    "It was the best of times, it was the worst of times, "
    "it was the age of wisdom"
)
other = text.replace("wisdom", "foolishness")
buffer, offsets = text_buffers(pa.array([text, other], pa.large_string()))

members, ends = flat_sets(buffer, offsets, np.arange(2), 5)
print("shingles:", np.diff(ends).tolist())
print("similarity:", round(jaccard(*np.split(members, ends[1:-1])), 3))

keys, _ = band_keys(buffer, offsets, ngram=5, bands=24, rows=5)
agree = int((keys[:, 0] == keys[:, 1]).sum())
print("bands that agree:", agree, "of", len(keys))
