"""Near-duplicates on real articles: the planted pairs, and recall against exact Jaccard."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook.data.arrow import text_buffers
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.groups import find_groups
from hornbook.data.dedup.minhash import band_keys, jaccard
from hornbook.data.dedup.presets import lsh
from hornbook.data.dedup.sets import flat_sets
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
    """The pairs (document, kept document) by name."""
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
    return {(names[row["doc"]], names[row["kept"]]) for row in rows}


@pytest.mark.parametrize("preset", ["default", "fineweb", "refinedweb"])
def test_all_planted_pairs_are_found_and_no_other(tmp_path, preset):
    lines = (FOLDER / "articles_1000.train").read_text().splitlines()
    texts = dict(line.split(" ", 1) for line in lines)
    truth = (FOLDER / "articles_1000.truth").read_text().split("\n")
    planted = {frozenset(line.split()) for line in truth if line}
    assert len(planted) == 10
    found = run(texts, tmp_path, DedupConfig(preset=preset))
    assert {frozenset(pair) for pair in found} == planted


@pytest.fixture(scope="module")
def windows():
    """Windows of real articles that overlap by chance shares, many near the threshold."""
    lines = (FOLDER / "articles_1000.train").read_text().splitlines()
    random = np.random.default_rng(3)
    texts = {}
    for line in lines[:500]:
        name, text = line.split(" ", 1)
        words = text.split()
        for copy, cut in enumerate((0, *random.uniform(0, 0.35, 2))):
            texts[f"{name}-{copy}"] = " ".join(words[int(cut * len(words)) :])
    return texts


def test_recall_above_the_threshold_against_exact_jaccard(windows, tmp_path):
    names = list(windows)
    texts = pa.array(list(windows.values()), pa.large_string())
    settings = lsh(DedupConfig())
    buffer, offsets = text_buffers(texts)
    keys, _ = band_keys(buffer, offsets, settings.ngram, settings.bands, settings.rows)
    groups = find_groups(keys, np.ones(len(names), bool))
    candidates = {
        (int(i), int(j))
        for members in np.split(groups.members, groups.ends[1:-1])
        for i in members
        for j in members
        if i < j
    }
    flat, ends = flat_sets(buffer, offsets, np.arange(len(names)), settings.ngram)
    sets = np.split(flat, ends[1:-1])
    above = {
        (i, j)
        for i in range(len(sets))
        for j in range(i + 1, len(sets))
        if jaccard(sets[i], sets[j]) >= settings.threshold
    }
    assert len(above) > 500
    assert len(above & candidates) >= 0.98 * len(above)
    removed = {doc for doc, _ in run(windows, tmp_path, DedupConfig())}
    both = sum(not {names[i], names[j]} & removed for i, j in above)
    assert both <= 0.02 * len(above)
