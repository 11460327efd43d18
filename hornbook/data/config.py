"""Settings of the data room: where text comes from and what is kept of it."""

from typing import Annotated, Literal

import msgspec

from hornbook.core.settings import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeFloat,
    Positive,
    Settings,
)


class StdlibSource(Settings, frozen=True, tag_field="kind", tag="python-stdlib"):
    """The standard library of the running interpreter: real code and prose, and no download."""

    name: str = "python-stdlib"
    include_tests: bool = False


# How the main text is taken from HTML: a fast way, a careful one, or the careful one only
# for pages whose text by the fast one passes the filters.
HtmlMode = Literal["fast", "careful", "two-pass"]


class FilesSource(Settings, frozen=True, tag_field="kind", tag="files"):
    """One file, or every matching file below a folder."""

    path: str
    name: str = ""  # the path's last part when empty
    include: tuple[str, ...] = ("*.txt", "*.md", "*.rst", "*.py", "*.jsonl")
    text_key: str = (
        "text"  # the key or column of .jsonl, .csv and .parquet that is the text
    )
    html: HtmlMode = "careful"


class CrawlSource(Settings, frozen=True, tag_field="kind", tag="crawl"):
    """Web archives: one file, or every WARC, ARC or WET file below a folder."""

    path: str
    name: str = ""
    include: tuple[str, ...] = ("*.warc*", "*.arc*", "*.wet*")
    html: HtmlMode = "two-pass"


Source = StdlibSource | FilesSource | CrawlSource


class CleanConfig(Settings, frozen=True):
    """Repair of text before any rule looks at it."""

    fix_mojibake: bool = True
    normalize: bool = True  # NFC, line ends, trailing blanks, control characters
    mask_personal_data: bool = False  # e-mail, IP and phone numbers, access keys


class GopherQuality(Settings, frozen=True):
    """Is it prose? Rae et al. 2021, appendix A.1.1. Words are split at white space."""

    min_words: NonNegative = 50
    max_words: Count = 100_000
    min_mean_word_length: NonNegativeFloat = 3.0
    max_mean_word_length: NonNegativeFloat = 10.0
    max_hashes_per_word: NonNegativeFloat = 0.1
    max_ellipses_per_word: NonNegativeFloat = 0.1
    max_bullet_lines: Fraction = 0.9
    max_ellipsis_lines: Fraction = 0.3
    min_alphabetic_words: Fraction = 0.8
    min_stop_words: NonNegative = (
        2  # different ones of eight English words; 0 otherwise
    )


class GopherRepetition(Settings, frozen=True):
    """Is much of it said twice? Rae et al. 2021, table A1; shares of lines or characters."""

    max_repeated_lines: Fraction = 0.30
    max_repeated_paragraphs: Fraction = 0.30
    max_repeated_line_characters: Fraction = 0.20
    max_repeated_paragraph_characters: Fraction = 0.20
    max_top_ngrams: tuple[Fraction, Fraction, Fraction] = (
        0.20,
        0.18,
        0.16,
    )  # of 2, 3, 4
    max_repeated_ngrams: tuple[
        Fraction, Fraction, Fraction, Fraction, Fraction, Fraction
    ] = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)  # of 5 to 10 words


class C4(Settings, frozen=True):
    """Lines and pages of C4, Raffel et al. 2020, with the numbers of the code that made it."""

    min_sentences: NonNegative = 3
    drop_lines: bool = True  # short ones, and those about cookies, terms and JavaScript
    closed_lines_only: bool = True  # drop lines that do not end like a sentence


class FineWeb(Settings, frozen=True):
    """Lists, menus and fragments: Penedo et al. 2024, section 3.6.

    For repeated characters the paper says 0.1 and the code that made the data 0.01.
    """

    min_closed_lines: Fraction = 0.12
    max_short_lines: Fraction = 0.67
    max_repeated_characters: Fraction = 0.01
    max_newlines_per_word: NonNegativeFloat = 0.3


class FilterConfig(Settings, frozen=True):
    """Rules a document must pass; each names the reason it gives when it does not.

    ``preset`` switches on published rules for web prose beside the plain ones: ``gopher``
    (quality and repetition), ``c4``, ``fineweb`` (Gopher, C4 without its rule about final
    punctuation, and FineWeb's own). A table of that name overrides its numbers. ``keep`` is
    a rule of one's own over any stored number, as in ``words > 100 and digit_share < 0.1``.
    """

    enabled: bool = True
    preset: Literal["plain", "gopher", "c4", "fineweb"] = "plain"
    min_bytes: NonNegative = 200
    max_bytes: Count = 10_000_000
    drop_generated: bool = (
        True  # a comment at the top says that a program wrote the file
    )
    max_digit_share: Fraction = 0.2  # of visible characters: tables of numbers
    max_symbol_share: Fraction = 0.33  # neither letters nor digits: tables, ASCII art
    max_word_length: Count = 1000  # ASCII without a space: base64, minified scripts
    max_duplicate_lines: Fraction = 0.5  # of the characters: in lines seen before
    gopher_quality: GopherQuality | None = None
    gopher_repetition: GopherRepetition | None = None
    c4: C4 | None = None
    fineweb: FineWeb | None = None
    keep: str = ""


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
    spans: NonNegative = (
        0  # words: cut runs of so many that a better document has; 0: no
    )
    min_left: NonNegative = 200  # bytes: a document of which less is left goes


class DecontaminateConfig(Settings, frozen=True):
    """Which benchmark files no document may share a run of words with."""

    benchmarks: tuple[str, ...]  # .jsonl (all strings of a record) or lines of text
    ngram: Count = 13


class ClassifyConfig(Settings, frozen=True):
    """A linear classifier's word on each document."""

    model: str = "toxicity"  # one that comes with Hornbook, or the folder of one's own
    max_score: Fraction = 0.5
    min_score: Fraction = 0.0


class MixtureConfig(Settings, frozen=True):
    """How much of each source: by weight of its name, or by size and temperature."""

    weights: dict[str, NonNegativeFloat] = {}  # noqa: RUF012  (msgspec copies it)
    temperature: Positive = 1.0  # above 1 evens the sources' sizes out
    max_epochs: Positive = 4.0  # no source is seen more often
    bytes: NonNegative = 0  # how much in total; 0 means as much as there is


class SplitConfig(Settings, frozen=True):
    """The held-out validation set: whole documents by hash, or the tail of every document."""

    by: Literal["document", "tail"] = "document"
    holdout: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.05


class DataConfig(Settings, frozen=True):
    """From sources to documents."""

    sources: tuple[Source, ...]
    workers: NonNegative = (
        0  # processes; 0 takes all cores, once it is worth starting them
    )
    clean: CleanConfig = CleanConfig()
    filters: FilterConfig = FilterConfig()
    dedup: DedupConfig = DedupConfig()
    classify: ClassifyConfig | None = None
    decontaminate: DecontaminateConfig | None = None
    mixture: MixtureConfig | None = None
    split: SplitConfig = SplitConfig()
