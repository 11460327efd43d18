"""Near-duplicates on real articles: the planted pairs, and recall against exact Jaccard."""

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook.data.arrow import text_buffers
from hornbook.data.config import DedupConfig
from hornbook.data.dedup.minhash import jaccard, shingle_sets
from hornbook.data.dedup.stage import dedup
from hornbook.data.documents import Document, document_id, write_documents

HERE = Path(
    os.environ.get("HORNBOOK_TEST_DATA", Path(__file__).parents[3] / "shared/data")
)
FOLDER = HERE / "neardup_minhash"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"the real data is not at {HERE} (HORNBOOK_TEST_DATA)"
)


def run(texts, tmp_path, config):
    write_documents(
        (
            Document(document_id("s", name), "s", name, text)
            for name, text in texts.items()
        ),
        tmp_path / "in",
    )
    dedup(config, tmp_path / "in", tmp_path / "out")
    names = {document_id("s", name): name for name in texts}
    rows = pq.read_table(tmp_path / "out" / "duplicates.parquet").to_pylist()
    return {frozenset((names[row["doc"]], names[row["kept"]])) for row in rows}


def test_all_planted_pairs_are_found_and_no_other(tmp_path):
    lines = (FOLDER / "articles_1000.train").read_text().splitlines()
    texts = dict(line.split(" ", 1) for line in lines)
    truth = (FOLDER / "articles_1000.truth").read_text().split("\n")
    planted = {frozenset(line.split()) for line in truth if line}
    assert len(planted) == 10
    assert run(texts, tmp_path, DedupConfig()) == planted


def test_recall_above_the_threshold_against_exact_jaccard(tmp_path):
    """Windows of real articles, overlapping by known shares, so that many pairs lie near
    the threshold: nearly all pairs well above it must not both be kept."""
    lines = (FOLDER / "articles_1000.train").read_text().splitlines()
    random = np.random.default_rng(3)
    texts = {}
    for line in lines[:500]:
        name, text = line.split(" ", 1)
        words = text.split()
        for copy, cut in enumerate((0, *random.uniform(0, 0.25, 2))):
            texts[f"{name}-{copy}"] = " ".join(words[int(cut * len(words)) :])
    names = list(texts)
    buffer, offsets = text_buffers(pa.array(list(texts.values()), pa.large_string()))
    sets = shingle_sets(buffer, offsets, np.arange(len(names)), 5)
    config = DedupConfig()
    removed = {doc for pair in run(texts, tmp_path, config) for doc in pair}
    kept_pairs = above = 0
    for start in range(0, len(names), 3):
        for i, j in combinations(range(start, start + 3), 2):
            if jaccard(sets[i], sets[j]) >= 0.8:
                above += 1
                kept_pairs += names[i] not in removed and names[j] not in removed
    assert above > 300
    assert kept_pairs <= 0.02 * above
