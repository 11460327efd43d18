"""Settings of what is read, and of its repair."""

from typing import Literal

from hornbook.core.settings import NonNegative, Positive, Settings


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
    # the key or column of .jsonl, .csv and .parquet that is the text
    text_key: str = "text"
    html: HtmlMode = "careful"
    # of all its text files, as in "koi8-r"; told from the bytes when empty
    encoding: str = ""
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
