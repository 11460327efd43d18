"""Curation against its peers: near-duplicates, recall, web rules, scoring, HTML, growth.

    python bench/curate.py [--quick] [--peers PYTHON] [--data FOLDER] [--only PART ...]

The corpus is the standard library with its tests, and every third file once more with some
words changed. Times are CPU seconds of one process after a warm-up, so that other work on
the machine counts less. Peers run in the interpreter ``--peers`` (this one by default; the
extra ``bench-data`` installs them); one that is missing is left out and named.
"""

import argparse
import json
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measure import DATA, bar, cpu, finish
from hornbook.data.arrow import text_buffers
from hornbook.data.classify.classifier import train
from hornbook.data.dedup.clusters import keep_best
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.groups import find_groups
from hornbook.data.dedup.jsonl import dedup_jsonl
from hornbook.data.dedup.minhash import band_keys
from hornbook.data.dedup.presets import PRESETS
from hornbook.data.dedup.sets import flat_sets
from hornbook.data.filter.config import FilterConfig
from hornbook.data.filter.rules import decide, rules
from hornbook.data.filter.webstatistics import measure_web

PEERS = Path(__file__).parent / "curate_peers.py"


def corpus(megabytes: float) -> list[str]:
    """Source files, and every third of them again with each 60th word changed."""
    root = Path(sysconfig.get_paths()["stdlib"])
    texts, size = [], 0
    for number, path in enumerate(sorted(root.rglob("*.py"))):
        if "site-packages" in path.parts or size > megabytes * 1e6:
            continue
        text = path.read_text(errors="replace")
        copies = [text]
        if number % 3 == 0:
            words = text.split(" ")
            words[::60] = ["changed"] * len(words[::60])
            copies.append(" ".join(words))
        texts += copies
        size += sum(len(copy.encode()) for copy in copies)
    return texts


def peer(python: str, name: str, path: Path) -> dict | None:
    """Seconds and findings of a peer in its own process; None when it is not installed."""
    done = subprocess.run(
        [python, str(PEERS), name, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["?"])[-1]
        print(f"  {name}: left out ({why[:100]})", flush=True)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def near_duplicates(options, folder: Path) -> list[dict]:
    texts = corpus(4 if options.quick else 30)
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    speeds = {}
    for preset in ("fineweb", "default", "refinedweb"):
        config, out = DedupConfig(preset=preset), folder / "out.jsonl"  # type: ignore
        dedup_jsonl(config, path, out)
        seconds = cpu(lambda c=config, o=out: dedup_jsonl(c, path, o), 5)
        speeds[preset] = megabytes / seconds
        print(f"  preset {preset}: {speeds[preset]:.0f} MB/s", flush=True)
    ours = speeds["fineweb"]  # the settings of all peers
    bars = [bar("near-duplicates, JSONL to JSONL", ours, 120, unit="MB/s")]
    share = speeds["refinedweb"] / ours
    bars.append(
        bar("speed with 9000 hashes, of that with 112", share, 0.2, unit="share")
    )
    for name, times in (("datatrove", 80), ("rensa", 4), ("gaoya", 4), ("datasketch", 8),
                        ("daft", 1)):  # fmt: skip
        small = folder / "small.jsonl"
        share = 8 if name in ("datatrove", "datasketch") else 1
        lines = path.read_text().splitlines(keepends=True)
        small.write_text("".join(lines[: len(lines) // share]))
        size = sum(
            len(json.loads(x)["text"].encode()) for x in lines[: len(lines) // share]
        )
        if found := peer(options.peers, name, small):
            speed = size / 1e6 / found["seconds"]
            print(f"  {name}: {speed:.1f} MB/s, {found}", flush=True)
            bars.append(
                bar(f"near-duplicates, times {name}", ours / speed, times, unit="x")
            )
    return bars


def web_rules(options, folder: Path) -> list[dict]:
    texts = web_texts(options)
    column = pa.array(texts, pa.large_string())
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    measure_web(column)
    ours = megabytes / cpu(lambda: measure_web(column))
    bars = [bar("Gopher, C4 and FineWeb numbers", ours, 50, unit="MB/s")]
    path = folder / "web.jsonl"
    pages = rule_fixture(options)
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in pages))
    if found := peer(options.peers, "datatrove-rules", path):
        agree = rule_agreement(pages, found["kept"])
        print(f"  kept alike with datatrove on white-space words: {agree}", flush=True)
        sentences = min(agree.pop("c4"), agree.pop("c4 open"))
        bars.append(
            bar("Gopher and FineWeb equal to datatrove", min(agree.values()), 0.999,
                unit=f"share of {len(pages)}")
        )  # fmt: skip
        bars.append(
            bar("C4 (sentences split otherwise)", sentences, 0.99, unit="share")
        )
    return bars


def rule_fixture(options) -> list[str]:
    """Web pages as they are, and each once more spoiled in one of the ways rules look for."""
    random = np.random.default_rng(1)
    texts = web_texts(options)[: 200 if options.quick else 1000]
    return texts + [spoil(text, random) for text in texts]


def spoil(text: str, random: np.random.Generator) -> str:
    """Repeated lines, bullets, cut lines, lists, loops of words, symbols or blank lines."""
    lines, words = text.split("\n"), text.split()
    way = random.integers(7)
    if way == 0:
        lines = [line for line in lines for _ in range(random.integers(1, 3))]
    elif way == 1:
        lines = [f"- {line}" if random.random() < 0.93 else line for line in lines]
    elif way == 2:
        lines = [x[:60] + "..." if random.random() < 0.4 else x for x in lines]
    elif way == 3:
        lines = text.split(". ")
    elif way == 4:
        start, size = random.integers(len(words)), random.integers(3, 13)
        loops = len(words) // (size * random.integers(3, 9))
        lines = [" ".join(words + words[start : start + size] * loops)]
    elif way == 5:
        lines = [line.replace("a", "#a0{"[random.integers(4)]) for line in lines]
    else:
        lines = [part for line in lines for part in (line, "")]
    return "\n".join(lines).strip()


def web_texts(options) -> list[str]:
    path = options.data / "c4_sample" / "c4.jsonl"
    if not path.is_file():
        return [text[:3000] for text in corpus(3)]
    texts = [json.loads(line)["text"] for line in path.open(encoding="utf-8")]
    return texts if options.quick else texts * 4


def rule_agreement(texts: list[str], theirs: dict[str, list[bool]]) -> dict[str, float]:
    """The share of texts on which each rule set of ours decides as theirs does."""
    columns = measure_web(pa.array(texts, pa.large_string()))
    gopher = [r for r in rules(FilterConfig(preset="gopher")) if "gopher" in r.reason]
    fineweb = rules(FilterConfig(preset="fineweb"))
    sets = {
        "gopher quality": [r for r in gopher if "repeated" not in r.reason],
        "gopher repetition": [r for r in gopher if "repeated" in r.reason],
        "fineweb": [r for r in fineweb if "fineweb:" in r.reason],
        "c4": [r for r in rules(FilterConfig(preset="c4")) if "c4:" in r.reason],
        "c4 open": [r for r in fineweb if "c4:" in r.reason],
    }
    return {
        name: float(np.mean((decide(columns, asked) < 0) == np.array(theirs[name])))
        for name, asked in sets.items()
    }


def scoring(options, folder: Path) -> list[dict]:
    texts = corpus(4 if options.quick else 30)
    column = pa.array(texts, pa.large_string())
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    model = train(texts[:400], np.arange(len(texts[:400])) % 2)
    model.score(column)
    return [
        bar("scoring", megabytes / cpu(lambda: model.score(column)), 150, unit="MB/s")
    ]


def recall(options, folder: Path) -> list[dict]:
    """Pairs above the threshold that become candidates, by exact Jaccard of all pairs."""
    texts = passages(options)
    settings = PRESETS["default"]
    buffer, offsets = text_buffers(pa.array(texts, pa.large_string()))
    keys, _ = band_keys(buffer, offsets, settings.ngram, settings.bands, settings.rows)
    flat, ends = flat_sets(buffer, offsets, np.arange(len(texts)), settings.ngram)
    above = similar_pairs(flat, ends, settings.threshold)
    found = sum(bool((keys[:, i] == keys[:, j]).any()) for i, j in above)
    print(f"  {found} of {len(above)} pairs found among {len(texts)} documents")
    share = found / max(len(above), 1)
    return [bar("pairs above the threshold that are found", share, 0.98, unit="share")]


def passages(options) -> list[str]:
    """Pieces of books, and beside every second one an edited copy: some words changed, the
    beginning cut off, or both, so that the similarities lie on both sides of the threshold.
    """
    random = np.random.default_rng(1)
    texts: list[str] = []
    for book in books(options):
        words = book.split(" ")
        for start in range(0, len(words), 400):
            piece = words[start : start + 400]
            texts.append(" ".join(piece))
            if (start // 400) % 2 == 0:
                copy = piece[random.integers(0, 60) :]
                for place in random.integers(0, len(copy), random.integers(0, 16)):
                    copy[place] = "changed"
                texts.append(" ".join(copy))
            if len(texts) >= (1000 if options.quick else 5000):
                return texts
    return texts


def books(options):
    import zstandard

    files = sorted((options.data / "books_en").glob("*.jsonl.zst"))
    for path in files:
        with zstandard.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)["text"]
    if not files:
        yield from corpus(20)


def similar_pairs(flat, ends, threshold) -> list[tuple[int, int]]:
    """All pairs of sets at least so similar, counted through the documents per shingle."""
    owner = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    order = np.argsort(flat, kind="stable")
    cuts = np.flatnonzero(np.diff(flat[order])) + 1
    common: Counter = Counter()
    for documents in np.split(owner[order], cuts):
        members = documents.tolist()
        common.update((a, b) for k, b in enumerate(members) for a in members[:k])
    sizes = np.diff(ends).tolist()
    return [
        (a, b)
        for (a, b), n in common.items()
        if n >= threshold * (sizes[a] + sizes[b] - n)
    ]


def clustering(options, folder: Path) -> list[dict]:
    """Growing numbers of documents, each in a process of its own for its highest memory."""
    sizes = [10**5, 10**6] if options.quick else [10**5, 10**6, 10**7]
    found = {}
    for documents in sizes:
        done = subprocess.run(
            [sys.executable, __file__, "--cluster", str(documents)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found[documents] = json.loads(done.stdout)
        print(f"  {documents:,} documents: {found[documents]}", flush=True)
    if options.quick:
        return []
    ten, one = found[10**7], found[10**6]
    growth = ten["seconds"] / one["seconds"]
    each = (ten["GB"] - one["GB"]) / (10**7 - 10**6) * 1e9
    return [
        bar("clustering 10 M x 14", ten["seconds"], most=10, unit="seconds"),
        bar("clustering 10 M x 14", ten["GB"], most=2, unit="GB"),
        bar("clustering, time for ten times the documents", growth, most=15, unit="x"),
        bar("clustering, bytes per further document", each, most=200),
    ]


def cluster(documents: int) -> dict:
    """Random keys of 14 bands; a fifth of the documents are copies of others."""
    cluster_keys(np.zeros((14, 10), np.uint64), np.zeros(10, np.uint32))  # compile
    random = np.random.default_rng(1)
    keys = np.empty((14, documents), np.uint64)
    for band in keys:
        band[:] = random.integers(0, 2**64, documents, dtype=np.uint64)
    copies = random.integers(0, documents // 2, documents // 5)
    keys[:, -len(copies) :] = keys[:, copies]
    value = np.arange(documents, dtype=np.uint32)
    value[-len(copies) :] = copies
    start = time.process_time()
    kept = cluster_keys(keys, value)
    seconds = time.process_time() - start
    gone = int((kept != np.arange(documents)).sum())
    assert gone == len(copies), (gone, len(copies))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"seconds": seconds, "GB": memory}


def cluster_keys(keys: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The kept document of each; a shingle set is the one number ``value``."""
    documents = keys.shape[1]
    groups = find_groups(keys, np.ones(documents, bool))
    ranked = groups.among(np.arange(documents))
    sets = value[ranked], np.arange(len(ranked)), np.ones(len(ranked), np.int64)
    kept, similarity = np.arange(documents), np.ones(documents)
    keep_best(ranked, 0, groups, sets, 0.7, kept, similarity)
    return kept


PARTS = {
    "clustering": clustering,
    "near-duplicates": near_duplicates,
    "recall": recall,
    "web": web_rules,
    "scoring": scoring,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--cluster", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cluster:
        print(json.dumps(cluster(options.cluster)))
        return
    bars = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            print(name, flush=True)
            bars += PARTS[name](options, Path(folder))
    finish("curate", options.quick, bars, part=len(options.only) < len(PARTS))


if __name__ == "__main__":
    main()
