"""The main text of web pages: ours in three ways beside the libraries, on hand-made answers.

    python bench/pages.py [--quick] [--data FOLDER]

F1 is the agreement of two texts as bags of runs of four words, as in the benchmark that the
181 article pages come from; the other set is the 65 pages of a browser's reader mode.
Times are CPU seconds of one process.
"""

import argparse
import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measure import DATA, bar, cpu, finish
from hornbook.data.filter.config import FilterConfig
from hornbook.data.web.html import careful_text, fast_text
from hornbook.data.web.pages import page_texts

Pages = dict[str, str]
WORD = re.compile(r"\w+")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    sets = {"articles": articles(options.data), "reader mode": reader(options.data)}
    bars, table = [], {}
    for name, (pages, truth) in sets.items():
        names = list(pages)[: 30 if options.quick else None]
        pages = {n: pages[n] for n in names}
        table[name] = {way: measure(w, pages, truth) for way, w in ways().items()}
        print(name)
        for way, found in table[name].items():
            print(f"  {way:28} {found['mb_per_s']:6.1f} MB/s  F1 {found['f1']:.3f}")
        ours = table[name]["hornbook two-pass"]
        bars += [
            bar(f"two passes, {name}", ours["mb_per_s"], 30, unit="MB of HTML/s"),
            bar(f"two passes, {name}", ours["f1"], 0.92, unit="F1"),
        ]
    peers = ("trafilatura", "resiliparse", "readability-lxml", "lxml")
    finish("pages", options.quick, bars, peers, sets=table)


def ways() -> dict[str, Callable[[Pages], Pages]]:
    """Each way of getting texts from pages, ours and the libraries' own."""
    found: dict[str, Callable[[Pages], Pages]] = {
        "hornbook fast": each(fast_text),
        "hornbook careful": each(careful_text),
        "hornbook two-pass": two_pass,
    }
    import trafilatura
    from resiliparse.extract.html2text import extract_plain_text

    found["resiliparse main content"] = each(
        lambda page: extract_plain_text(page, main_content=True)
    )
    found["trafilatura"] = each(lambda page: trafilatura.extract(page) or "")
    try:
        from readability import Document
    except ImportError:
        print("  readability-lxml: left out (not installed)")
    else:
        found["readability"] = each(lambda page: plain(Document(page).summary()))
    return found


def two_pass(pages: Pages) -> Pages:
    skip = lambda path, reason: None  # noqa: E731
    return dict(page_texts(list(pages.items()), "two-pass", FilterConfig(), skip))


def each(extract: Callable[[str], str]) -> Callable[[Pages], Pages]:
    return lambda pages: {name: extract(page) for name, page in pages.items()}


def plain(markup: str) -> str:
    from lxml.html import fromstring

    return fromstring(markup).text_content()


def measure(way: Callable[[Pages], Pages], pages: Pages, truth: Pages) -> dict:
    megabytes = sum(len(page.encode()) for page in pages.values()) / 1e6
    found = way(pages)  # and everything is imported and compiled now
    scores = [f1(found.get(name, ""), truth[name]) for name in pages]
    seconds = cpu(lambda: way(pages), 5)
    return {"mb_per_s": megabytes / seconds, "f1": float(np.mean(scores))}


def f1(found: str, truth: str) -> float:
    def runs(text: str) -> Counter:
        words = WORD.findall(text)
        return Counter(tuple(words[i : i + 4]) for i in range(max(len(words) - 3, 1)))

    a, b = runs(found), runs(truth)
    return 2 * (a & b).total() / max(a.total() + b.total(), 1)


def articles(data: Path) -> tuple[Pages, Pages]:
    folder = data / "html_zyte"
    truth = json.loads((folder / "ground-truth.json").read_text())
    read = lambda name: gzip.decompress(  # noqa: E731
        (folder / "html" / f"{name}.html.gz").read_bytes()
    )
    pages = {name: read(name).decode() for name in sorted(truth)}
    return pages, {name: truth[name]["articleBody"] for name in pages}


def reader(data: Path) -> tuple[Pages, Pages]:
    with gzip.open(data / "html_readability" / "pages_even.jsonl.gz") as lines:
        records = [json.loads(line) for line in lines]
    pages = {record["name"]: record["source"] for record in records}
    return pages, {record["name"]: plain(record["expected"]) for record in records}


if __name__ == "__main__":
    main()
