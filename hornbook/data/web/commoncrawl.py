"""Archives over http: files of a crawl of Common Crawl, or whatever a list of URLs names.

Which files, is settled by the recipe alone; what was fetched stays in the cache folder and
is read from there like any local archive.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import xxhash

from hornbook.core.errors import UserError
from hornbook.core.progress import console
from hornbook.data.read.config import CommonCrawlSource
from hornbook.data.read.sources import Skip, SourceFile, source_name
from hornbook.data.web.download import Downloader, DownloadError
from hornbook.data.web.warc import MAX_RECORD_BYTES

CRAWL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{3,80}")


@dataclass(frozen=True)
class Wanted:
    """A whole file, or ``length`` bytes of it from ``offset`` on (one record)."""

    url: str
    offset: int = 0
    length: int = 0

    @property
    def path(self) -> str:
        """Its place below the cache folder, and in the ids of its documents."""
        url = urlsplit(self.url)
        parts = [url.netloc, *url.path.split("/")]
        safe = [quote(part, safe=" ()+,=@~")[:200] for part in parts if part.strip(".")]
        if url.query or max(map(len, safe)) == 200:  # what was cut off tells them apart
            safe[-1] += f"-{xxhash.xxh3_64_hexdigest(self.url.encode())}"
        if self.length:
            safe[-1] += f"@{self.offset}-{self.length}"
        return "/".join(safe)


def fetch_archives(source: CommonCrawlSource, skip: Skip) -> Iterator[SourceFile]:
    """The files a source wants, each fetched when it is asked for; failures go to ``skip``.

    Raises :class:`UserError` for settings that cannot be, or a crawl that is not there.
    """
    check(source)
    cache = Path(source.cache).expanduser()
    downloader = Downloader(
        source.user_agent, source.requests_per_second, source.bytes_per_second
    )
    for wanted in choose(_listed(source, cache, downloader), source.files, source.seed):
        target = cache / wanted.path
        if not target.exists() and not wanted.length:
            console.print(f"fetching {wanted.url}", markup=False, highlight=False)
        try:
            if wanted.length:
                place = (wanted.url, wanted.offset, wanted.length)
                downloader.fetch_range(*place, target)
            else:
                downloader.fetch(wanted.url, target)
        except DownloadError as error:
            skip(wanted.path, f"download failed ({error})")
            continue
        yield SourceFile(source_name(source), wanted.path, target)


def check(source: CommonCrawlSource) -> None:
    """Refuse settings that name no files, or far too many. Raises :class:`UserError`."""
    where = "data.sources: a source of kind 'common-crawl'"
    if bool(source.crawl) == bool(source.urls):
        raise UserError(f"{where} needs either 'crawl' (an id) or 'urls' (a file).")
    if source.crawl and not CRAWL_ID.fullmatch(source.crawl):
        raise UserError(
            f"{where} has 'crawl' = '{source.crawl}', which is no id like CC-MAIN-2024-10."
        )
    if source.crawl and not source.files:
        raise UserError(
            f"{where} must say how many 'files' of the crawl to fetch: a crawl has tens of "
            "thousands, of up to 1 GB each."
        )
    if not source.base_url.startswith(("http://", "https://")):
        raise UserError(f"{where}: 'base_url' must begin with http:// or https://.")


def listed_urls(source: CommonCrawlSource) -> list[Wanted]:
    """What the file ``urls`` names, line by line; an empty list without one."""
    if not source.urls:
        return []
    path = Path(source.urls).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"data.sources: 'urls' names no file: '{path}'.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"data.sources: '{path}' cannot be read ({error}).") from None
    found = [
        _wanted(line.split(), f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return list(dict.fromkeys(found))


def _wanted(fields: list[str], where: str) -> Wanted:
    try:
        url = urlsplit(fields[0])
        good = url.scheme in ("http", "https") and bool(url.hostname)
    except ValueError:
        good = False
    if not good:
        raise UserError(f"{where}: '{fields[0][:80]}' is no http or https URL.")
    if len(fields) == 1:
        return Wanted(fields[0])
    if len(fields) != 3 or not all(field.isdigit() for field in fields[1:]):
        raise UserError(f"{where}: expected `url` or `url offset length`.")
    offset, length = int(fields[1]), int(fields[2])
    if not 0 < length <= MAX_RECORD_BYTES:
        raise UserError(
            f"{where}: a length of {length}; it must be 1 to {MAX_RECORD_BYTES} bytes."
        )
    return Wanted(fields[0], offset, length)


def _listed(
    source: CommonCrawlSource, cache: Path, downloader: Downloader
) -> list[Wanted]:
    """All files there are: of the list of URLs, or of the crawl's own list."""
    if source.urls:
        return listed_urls(source)
    base = source.base_url.rstrip("/")
    url = f"{base}/crawl-data/{source.crawl}/{source.archives}.paths.gz"
    listing = cache / Wanted(url).path
    try:
        downloader.fetch(url, listing)
        lines = gzip.decompress(listing.read_bytes()).decode("utf-8").split()
    except DownloadError as error:
        raise UserError(
            f"data.sources: the list of files of '{source.crawl}' cannot be fetched from "
            f"{url} ({error}); is the crawl's id right?"
        ) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(
            f"{listing} is damaged ({error}); remove it to fetch it again."
        ) from None
    return [Wanted(f"{base}/{line.lstrip('/')}") for line in lines]


def choose(wanted: list[Wanted], files: int, seed: int | None) -> list[Wanted]:
    """``files`` of them in their order: the first, or by chance; more files add to fewer.

    0 means all.
    """
    if not files or files >= len(wanted):
        return wanted
    if seed is None:
        return wanted[:files]
    lots = [
        xxhash.xxh3_64_intdigest(f"{w.url} {w.offset}".encode(), seed) for w in wanted
    ]
    drawn = sorted(range(len(wanted)), key=lambda n: (lots[n], n))[:files]
    return [wanted[n] for n in sorted(drawn)]
