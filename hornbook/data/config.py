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
# for pages whose text by the fast one passes the filters and looks like a list of links.
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
    encoding: str = (
        ""  # of all its text files, as in "koi8-r"; told from the bytes when empty
    )
    gutenberg: bool = True  # cut the header and footer of Project Gutenberg's books
    join_lines: bool = False  # make one line of each hard-wrapped paragraph


class GitSource(Settings, frozen=True, tag_field="kind", tag="git"):
    """Source code: a git repository (bare ones too), a folder of them, or a plain folder.

    ``revision`` names what is read of each repository; an empty one means the files of the
    working tree as they lie there. Of the files whose language is known (by name or first
    line) those are read whose ``languages`` and ``licences`` are listed; empty means all.
    Licences are SPDX ids, ``unknown`` among them.
    """

    path: str
    name: str = ""
    revision: str = "HEAD"
    languages: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    vendored: bool = False  # read node_modules, vendor and the like too


class CrawlSource(Settings, frozen=True, tag_field="kind", tag="crawl"):
    """Web archives: one file, or every WARC, ARC or WET file below a folder."""

    path: str
    name: str = ""
    include: tuple[str, ...] = ("*.warc*", "*.arc*", "*.wet*", "*.wat*")
    html: HtmlMode = "two-pass"
    wat_titles: bool = False  # WAT holds no page text: take titles and descriptions


class CommonCrawlSource(Settings, frozen=True, tag_field="kind", tag="common-crawl"):
    """Archives fetched by http: files of a crawl of Common Crawl, or a list of URLs.

    One connection at a time, resumed where it broke; what is complete stays in ``cache``
    and is never fetched again.
    """

    crawl: str = ""  # the id of a crawl, as in "CC-MAIN-2024-10"
    archives: Literal["warc", "wet", "wat"] = "wet"  # which files of the crawl
    urls: str = ""  # or a text file: one `url`, or `url offset length`, per line
    files: NonNegative = 0  # how many of them; 0 means all, for a list of URLs only
    seed: int | None = None  # a random choice of so many, not the first ones
    name: str = ""
    base_url: str = "https://data.commoncrawl.org/"
    cache: str = "~/.cache/hornbook/crawl"
    user_agent: str = "hornbook (language model data curation)"  # add who you are
    requests_per_second: Positive = 2.0
    bytes_per_second: NonNegative = 0  # 0 means as fast as it comes
    html: HtmlMode = "two-pass"
    wat_titles: bool = False


class HubSource(Settings, frozen=True, tag_field="kind", tag="hub"):
    """A dataset of the Hugging Face hub: its Parquet, JSON-lines, CSV or text files.

    ``files`` are patterns; where there are none, ``config`` and ``split`` choose as the
    dataset's card says, or by the names of files. ``HF_ENDPOINT`` and ``HF_HOME`` are heeded.
    """

    repo: str  # as in "roneneldan/TinyStories"
    revision: str = "main"  # a branch, a tag, or best of all a commit
    config: str = ""
    split: str = "train"  # an empty one means all
    files: tuple[str, ...] = ()
    name: str = ""
    cache: str = ""  # the library's own folder when empty
    text_key: str = "text"
    join_lines: bool = False


Source = (
    StdlibSource | FilesSource | GitSource | CrawlSource | CommonCrawlSource | HubSource
)


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


class WebLines(Settings, frozen=True):
    """Lines of pages that are no prose: capitals, counters, single words, "sign-in".

    Penedo et al. 2023 (RefinedWeb), appendix G.2, with the numbers of Li et al. 2024 (DCLM).
    """

    max_flagged_words: Fraction = (
        0.05  # of the document's words; else the lines just go
    )
    max_uppercase: Fraction = 0.5  # of a line's characters
    drop_lines: bool = True


class Code(Settings, frozen=True):
    """Is it code that a person wrote and would read? Asked only of source code, by its name.

    Line lengths and letters: Kocetkov et al. 2022 (The Stack), Li et al. 2023 (StarCoder);
    encoded data: Lozhkov et al. 2024 (StarCoder 2). The last four are Hornbook's own.
    """

    max_mean_line_length: NonNegativeFloat = 100.0  # characters
    max_line_length: NonNegativeFloat = 1000.0  # characters
    min_alphanumeric: Fraction = 0.25  # of all characters
    max_encoded: Fraction = 0.5  # of the characters: in base64 or hexadecimal runs
    max_encoded_run: NonNegative = 1024  # characters
    max_numbers: Fraction = 0.5  # of letters and digits: in numbers, as tables are
    min_white_space: Fraction = 0.03  # of the characters: less is minified
    drop_by_name: bool = (
        True  # lock files, vendored folders, minified and generated files
    )
    drop_notebooks: bool = True  # whose file is JSON, with outputs and pictures in it


class Boilerplate(Settings, frozen=True):
    """Lines that are cut before any rule looks: what a site says on every page.

    A line of source code is never cut.
    """

    max_documents: Count = (
        10  # of one source may hold a line; in more of them it is cut
    )
    min_characters: Count = 20  # shorter lines may repeat, as headings do
    notices: bool = True  # short lines about cookies, newsletters, sharing, copyright
    navigation_run: NonNegative = (
        6  # so many lines of at most 3 words in a row; 0: never
    )


class FilterConfig(Settings, frozen=True):
    """Rules a document must pass; each names the reason it gives when it does not.

    ``preset`` switches on published rules beside the plain ones: ``gopher`` (quality and
    repetition), ``c4``, ``fineweb`` (Gopher, C4 without its rule about final punctuation,
    and FineWeb's own), ``refinedweb`` and ``dclm`` (Gopher, and rules about lines) for web
    prose, ``code`` for source code. A table of a rule's name overrides its numbers. ``keep``
    is a rule of one's own over any stored number, as in ``words > 100 and digit_share < 0.1``.
    """

    enabled: bool = True
    preset: Literal[
        "plain", "gopher", "c4", "fineweb", "refinedweb", "dclm", "code"
    ] = "plain"
    words: Literal["whitespace"] = (
        "whitespace"  # what rules count: runs without a blank
    )
    statistics: Literal["asked", "all"] = (
        "asked"  # which numbers to store: all cost more
    )
    min_bytes: NonNegative = 200
    max_bytes: Count = 10_000_000
    drop_generated: bool = (
        True  # a comment at the top says that a program wrote the file
    )
    max_digit_share: Fraction = 0.2  # of visible characters: tables of numbers
    max_symbol_share: Fraction = 0.33  # neither letters nor digits: tables, ASCII art
    max_word_length: Count = 1000  # ASCII without a space: base64, minified scripts
    max_duplicate_lines: Fraction = 0.5  # of the characters: in lines seen before
    languages: tuple[str, ...] = ()  # ("en", "de"): keep only these; empty: all
    min_language_score: Fraction = 0.65
    languages_of_code: bool = False  # else source code, by its name, is asked for none
    url_blocklist: tuple[str, ...] = ()  # files: a domain or part of an address a line
    word_blocklist: tuple[str, ...] = ()  # files: a word or phrase a line
    max_blocked_words: NonNegative = 0  # of the lists' in one document; C4 allows none
    max_blocked_word_share: Fraction = 1.0  # of its words
    built_in_lists: bool = True  # a short one against adult and spam pages of the web
    max_spam_phrases: NonNegative = 2  # of the built-in list in one page
    boilerplate: Boilerplate | None = None
    gopher_quality: GopherQuality | None = None
    gopher_repetition: GopherRepetition | None = None
    c4: C4 | None = None
    fineweb: FineWeb | None = None
    web_lines: WebLines | None = None
    code: Code | None = None
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
    """Which benchmarks no document may share a run of words with."""

    # Files, or folders of files: of .jsonl and .csv all strings of a record are one item,
    # of others a line; relative to benchmarks_folder, so that a name may be enough.
    benchmarks: tuple[str, ...]
    benchmarks_folder: str = ""
    ngram: Count = 13  # words a document and an item must share in a row (GPT-3: 13)
    min_share: Fraction = 0.0  # of an item's runs that the document must hold, too
    max_documents: NonNegative = 0  # a run that more of them hold is common; 0: none is


class ClassifyConfig(Settings, frozen=True):
    """A linear classifier's word on each document."""

    model: str = "toxicity"  # one that comes with Hornbook, or the folder of one's own
    max_score: Fraction = 0.5  # a probability; for quality set 1 and a min_score
    min_score: Fraction = 0.0


class MixtureConfig(Settings, frozen=True):
    """How much of each source training sees: by weight of its name, or by size.

    The mix is made while training, so that another needs no new shards.
    """

    weights: dict[str, NonNegativeFloat] = {}  # noqa: RUF012  (msgspec copies it)
    temperature: Positive = 1.0  # above 1 evens the sources' sizes out
    max_epochs: Positive = 4.0  # no source is seen more often


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
    classify: ClassifyConfig | tuple[ClassifyConfig, ...] | None = (
        None  # one or several
    )
    decontaminate: DecontaminateConfig | None = None
    split: SplitConfig = SplitConfig()
    mixture: MixtureConfig | None = None
    # What a training sample is: a window of the running text, or whole documents side by
    # side that do not see each other.
    packing: Literal["windows", "documents"] = "windows"
