"""The settings by name, and what they promise: which share of pairs they find."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hornbook.data.arrow import text_buffers
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.minhash import band_keys, jaccard
from hornbook.data.dedup.presets import PRESETS, Lsh, lsh
from hornbook.data.dedup.sets import flat_sets


def test_numbers_of_a_preset_can_be_overridden():
    assert lsh(DedupConfig(preset="fineweb")) == Lsh(5, 14, 8, 0.7)
    assert lsh(DedupConfig(preset="refinedweb", bands=20)) == Lsh(5, 20, 20, 0.8)
    assert lsh(DedupConfig(threshold=0.0)).threshold == 0.0


def test_presets_have_their_published_curves():
    """Values of table 2 and figure 3 of the papers, as far as they give any."""
    assert PRESETS["fineweb"].found(0.75) == pytest.approx(0.772, abs=0.001)
    assert PRESETS["fineweb"].found(0.8) == pytest.approx(0.924, abs=0.001)
    assert PRESETS["refinedweb"].found(0.8) == pytest.approx(0.995, abs=0.001)
    assert PRESETS["default"].found(PRESETS["default"].threshold) > 0.98


def test_the_page_about_duplicates_has_these_numbers():
    page = Path(__file__).parents[3] / "docs" / "data-dedup.md"
    rows = [line.strip("| ").split(" | ") for line in page.read_text().splitlines()]
    table = {row[0]: row[1:] for row in rows if row[0] in PRESETS}
    assert list(table) == list(PRESETS)
    for name, preset in PRESETS.items():
        curve = [preset.found(s) for s in (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)]
        assert table[name] == [
            f"{preset.ngram} words",
            f"{preset.bands} × {preset.rows}",
            f"{preset.threshold}",
            *(f"{p:.3f}" for p in curve),
        ]


def pairs_of_texts(similarity, count, random):
    """Pairs that have about ``similarity`` of their word 5-grams in common."""
    texts = []
    for _ in range(count):
        words = [f"w{i}" for i in random.integers(0, 10**6, 400)]
        run = round(400 * 2 * similarity / (1 + similarity))
        texts.append(" ".join(words))
        others = [f"w{i}" for i in random.integers(0, 10**6, 400 - run)]
        texts.append(" ".join(words[:run] + others))
    return texts


@pytest.mark.parametrize("similarity", [0.5, 0.71, 0.75, 0.8])
@pytest.mark.parametrize("preset", ["default", "fineweb", "refinedweb"])
def test_pairs_are_found_as_often_as_the_curve_says(preset, similarity):
    random = np.random.default_rng(11)
    count = 60 if preset == "refinedweb" else 400
    texts = pa.array(pairs_of_texts(similarity, count, random), pa.large_string())
    buffer, offsets = text_buffers(texts)
    ngram, bands, rows, _ = settings = PRESETS[preset]
    keys, _ = band_keys(buffer, offsets, ngram, bands, rows)
    flat, ends = flat_sets(buffer, offsets, np.arange(len(texts)), ngram)
    sets = np.split(flat, ends[1:-1])
    expected = [
        settings.found(jaccard(sets[i], sets[i + 1])) for i in range(0, len(sets), 2)
    ]
    found = (keys[:, ::2] == keys[:, 1::2]).any(axis=0)
    deviation = (np.mean(expected) * (1 - np.mean(expected)) / count) ** 0.5
    assert abs(found.mean() - np.mean(expected)) < 4 * deviation + 0.5 / count
    if preset == "default" and similarity > 0.7:
        assert found.mean() >= 0.98
