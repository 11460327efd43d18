"""How candidates are found, by name: the settings that well-known corpora were made with.

A pair of similarity s becomes a candidate with probability 1 - (1 - s^rows)^bands. Every
candidate is compared exactly, so more bands cost time and memory but never a wrong pair:
``default`` is chosen such that each pair at its threshold is found with probability 0.988.
"""

from typing import NamedTuple

from hornbook.data.dedup.config import DedupConfig


class Lsh(NamedTuple):
    """Locality-sensitive hashing: what is hashed, how often, and what counts as near."""

    ngram: int  # words per shingle
    bands: int
    rows: int  # hashes per band
    threshold: float  # exact Jaccard similarity

    def found(self, similarity: float) -> float:
        """The probability that a pair of this similarity becomes a candidate."""
        return 1 - (1 - similarity**self.rows) ** self.bands


PRESETS = {
    "default": Lsh(5, 24, 5, 0.7),
    # Penedo et al. 2024 take every candidate; half of those of similarity 0.72 are one.
    "fineweb": Lsh(5, 14, 8, 0.7),
    # Lee et al. 2022, appendix A, and Penedo et al. 2023; both ask for 0.8.
    "refinedweb": Lsh(5, 450, 20, 0.8),
    # Li et al. 2024, the comparison of methods: aimed at 0.8.
    "dclm": Lsh(5, 93, 15, 0.8),
    # Rae et al. 2021, appendix A.1.2: runs of 13 words, 0.8; the bands are not told.
    "gopher": Lsh(13, 24, 8, 0.8),
}


def lsh(config: DedupConfig) -> Lsh:
    """The preset of ``config`` with the numbers that it overrides."""
    chosen = {
        name: value
        for name in Lsh._fields
        if (value := getattr(config, name)) is not None
    }
    return PRESETS[config.preset]._replace(**chosen)
