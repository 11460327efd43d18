"""Settings of the removal of duplicates."""

from typing import Literal

from hornbook.core.settings import Count, Fraction, NonNegative, Settings


class DedupConfig(Settings, frozen=True):
    """Removal of exact duplicates, near-duplicates (MinHash), and repeated passages.

    ``preset`` names a way to find candidates; ``ngram``, ``bands``, ``rows`` and
    ``threshold`` override its numbers. See ``hornbook.data.dedup.presets`` for them.
    """

    enabled: bool = True
    preset: Literal["default", "fineweb", "refinedweb", "dclm", "gopher"] = "default"
    ngram: Count | None = None  # words per shingle
    bands: Count | None = None
    rows: Count | None = None  # hashes per band
    threshold: Fraction | None = None  # exact Jaccard similarity a pair must reach
    keep: Literal["longest", "first", "best-source"] = "longest"  # of a group
    source_order: tuple[str, ...] = ()  # names of sources, best first, for best-source
    against: tuple[str, ...] = ()  # earlier runs whose documents are not wanted again
    paragraphs: bool = False  # cut paragraphs that a better document has too
    lines: bool = False  # the same for lines
    min_repeat: Count = 40  # bytes: shorter lines and paragraphs are never cut
    # words: cut runs of so many that a better document has; 0: no
    spans: NonNegative = 0
    min_left: NonNegative = 200  # bytes: a document of which less is left goes
