"""Settings of the data room: where text comes from and what is kept of it."""

from typing import Annotated, Literal

import msgspec

from hornbook.core.settings import Count, Fraction, NonNegative, Settings


class StdlibSource(Settings, frozen=True, tag_field="kind", tag="python-stdlib"):
    """The standard library of the running interpreter: real code and prose, and no download."""

    name: str = "python-stdlib"
    include_tests: bool = False


class FilesSource(Settings, frozen=True, tag_field="kind", tag="files"):
    """One file, or every matching file below a folder."""

    path: str
    name: str = ""  # the path's last part when empty
    include: tuple[str, ...] = ("*.txt", "*.md", "*.rst", "*.py", "*.jsonl")
    text_key: str = "text"  # which key of a .jsonl record holds the text


Source = StdlibSource | FilesSource


class CleanConfig(Settings, frozen=True):
    """Repair of text before any rule looks at it."""

    fix_mojibake: bool = True
    normalize: bool = True  # NFC, line ends, trailing blanks, control characters


class FilterConfig(Settings, frozen=True):
    """Rules a document must pass; each names the reason it gives when it does not."""

    enabled: bool = True
    min_bytes: NonNegative = 200
    max_bytes: Count = 10_000_000
    drop_generated: bool = (
        True  # a comment at the top says that a program wrote the file
    )
    max_digit_share: Fraction = 0.2  # of visible characters: tables of numbers
    max_symbol_share: Fraction = 0.33  # neither letters nor digits: tables, ASCII art
    max_word_length: Count = 1000  # ASCII without a space: base64, minified scripts
    max_duplicate_lines: Fraction = 0.5  # of the characters: in lines seen before


class DedupConfig(Settings, frozen=True):
    """Exact and MinHash near-duplicate removal."""

    enabled: bool = True
    ngram: Count = 5  # words per shingle
    bands: Count = 14
    rows: Count = 8
    threshold: Fraction = 0.7  # exact Jaccard similarity a pair must reach


class SplitConfig(Settings, frozen=True):
    """The held-out validation set: whole documents by hash, or the tail of every document."""

    by: Literal["document", "tail"] = "document"
    holdout: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.05


class DataConfig(Settings, frozen=True):
    """From sources to documents."""

    sources: tuple[Source, ...]
    clean: CleanConfig = CleanConfig()
    filters: FilterConfig = FilterConfig()
    dedup: DedupConfig = DedupConfig()
    split: SplitConfig = SplitConfig()
