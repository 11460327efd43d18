"""What chapter 2 says, measured: ``python -m book.experiments.data [--data FOLDER]``.

FOLDER holds a thousand pages of C4 (``c4_sample``) and benchmarks (``gsm8k``, ``mmlu``,
``arc``); without it, only what needs no download is measured. Half a minute on one core.
"""

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from book.experiments.record import record
from hornbook.data.arrow import text_buffers
from hornbook.data.benchmarks import read_benchmarks
from hornbook.data.config import DataConfig
from hornbook.data.decontaminate import Index
from hornbook.data.dedup.minhash import band_keys, jaccard, sketch
from hornbook.data.dedup.presets import PRESETS
from hornbook.data.dedup.sets import flat_sets
from hornbook.data.dedup.stage import dedup
from hornbook.data.filter.config import FilterConfig
from hornbook.data.filter.filters import filter_documents, judge
from hornbook.data.filter.measures import measure_table
from hornbook.data.filter.rules import rules, with_preset
from hornbook.data.read.config import StdlibSource
from hornbook.data.read.extract import extract

NGRAM = 5
PAIRS, WORDS = 6000, 300  # pairs of texts, and words in each
BIN = 0.05  # of similarity
RUNS = (2, 3, 4, 5, 6, 8, 10, 13, 16)  # words in a row


def main() -> None:
    """Every experiment, and the file of each."""
    parser = argparse.ArgumentParser(description="Measure what chapter 2 shows.")
    parser.add_argument("--data", type=Path)
    data = parser.parse_args().data
    record("02/bands.json", bands())
    record("02/similar.json", similar())
    record("02/stdlib.json", stdlib())
    if data:
        texts = _c4(data)
        record("02/presets.json", presets(texts))
        record("02/overlap.json", overlap(texts, data))


# ------------------------------------------------------------------- MinHash and its bands
def bands() -> dict[str, Any]:
    """The presets' numbers, and the chance that a pair becomes a candidate, in closed form."""
    grid = [k / 50 for k in range(51)]
    return {
        name: {
            **settings._asdict(),
            "at_threshold": settings.found(settings.threshold),
            "middle": (1 / settings.bands) ** (1 / settings.rows),
            "curve": [(s, settings.found(s)) for s in grid],
        }
        for name, settings in PRESETS.items()
    }


def similar() -> dict[str, Any]:
    """Pairs of known similarity: how often a place agrees, how often a band does."""
    lottery = random.Random(2)
    texts: list[str] = []
    for _ in range(PAIRS):
        words = [f"w{lottery.randrange(100_000)}" for _ in range(WORDS)]
        other = list(words)
        for place in lottery.sample(range(WORDS), lottery.randrange(50)):
            other[place] = f"x{lottery.randrange(100_000)}"
        texts += [" ".join(words), " ".join(other)]
    buffer, offsets = text_buffers(pa.array(texts, pa.large_string()))
    members, ends = flat_sets(buffer, offsets, np.arange(len(texts)), NGRAM)
    sets = np.split(members, ends[1:-1])
    truth = np.array(
        [jaccard(a, b) for a, b in zip(sets[::2], sets[1::2], strict=True)]
    )
    sizes = {}
    for size in (30, 120, 480):
        agreed = np.array(
            [_agreed(a, b, size) for a, b in zip(sets[::2], sets[1::2], strict=True)]
        )
        near = np.abs(truth - 0.7) < 0.1
        sizes[str(size)] = {
            "bias": float((agreed - truth).mean()),
            "deviation": float((agreed - truth)[near].std()),
            "predicted": float(np.sqrt((truth * (1 - truth))[near] / size).mean()),
        }
    curves = {}
    for name in ("default", "fineweb"):
        settings = PRESETS[name]
        keys, _ = band_keys(buffer, offsets, NGRAM, settings.bands, settings.rows)
        met = (keys[:, ::2] == keys[:, 1::2]).any(axis=0)
        curves[name] = _by_similarity(truth, met)
    return {"pairs": PAIRS, "words": WORDS, "sizes": sizes, "curves": curves}


def _agreed(left: np.ndarray, right: np.ndarray, size: int) -> float:
    signatures = np.zeros((2, size), np.uint32)
    sketch(left.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15), signatures[0])
    sketch(right.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15), signatures[1])
    return float((signatures[0] == signatures[1]).mean())


def _by_similarity(truth: np.ndarray, met: np.ndarray) -> list[dict[str, float]]:
    rows = []
    for start in np.arange(0, 1, BIN):
        inside = (truth >= start) & (truth < start + BIN)
        if inside.sum() >= 50:
            row = {"similarity": truth[inside].mean(), "found": met[inside].mean()}
            rows.append(
                {**{k: float(v) for k, v in row.items()}, "n": int(inside.sum())}
            )
    return rows


# -------------------------------------------------------------- the funnel without download
def stdlib() -> dict[str, Any]:
    """Python's standard library through extract, filter and dedup."""
    config = DataConfig(sources=(StdlibSource(),), workers=1)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("extract", "filter", "dedup")]
        for path in paths:
            path.mkdir()
        stages = [
            extract(config, paths[0]),
            filter_documents(config.filters, paths[0], paths[1]),
            dedup(config.dedup, paths[1], paths[2]),
        ]
        pairs = pq.read_table(paths[2] / "duplicates.parquet").to_pylist()
    keep = ("name", "documents_in", "documents_out", "bytes_in", "bytes_out", "reasons")
    return {
        "stages": [{key: stage[key] for key in keep} for stage in stages],
        "pairs": len(pairs),
    }


# ------------------------------------------------------------------------------- web pages
def _c4(data: Path) -> list[str]:
    lines = (data / "c4_sample" / "c4.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line)["text"] for line in lines]


def presets(texts: list[str]) -> dict[str, Any]:
    """What each preset keeps of the same pages, and why it drops the rest."""
    table = pa.table(
        {
            "id": [str(k) for k in range(len(texts))],
            "path": [str(k) for k in range(len(texts))],
            "source": ["c4"] * len(texts),
            "text": pa.array(texts, pa.large_string()),
        }
    )
    found, kept = [], {}
    for name in ("plain", "gopher", "c4", "fineweb", "dclm"):
        config = with_preset(FilterConfig(preset=name))
        asked = rules(config)
        verdict = judge(measure_table(table, config), asked, config)
        kept[name] = verdict < 0
        reasons: dict[str, int] = {}
        for rule in verdict[verdict >= 0]:
            reasons[asked[rule].reason] = reasons.get(asked[rule].reason, 0) + 1
        order = sorted(reasons, key=lambda r: (-reasons[r], r))
        found.append(
            {
                "preset": name,
                "rules": len(asked),
                "kept": int((verdict < 0).sum()),
                "top": [{"reason": r, "documents": reasons[r]} for r in order[:3]],
            }
        )
    web = [kept[name] for name in ("gopher", "c4", "fineweb", "dclm")]
    return {
        "pages": len(texts),
        "presets": found,
        "all": int(np.logical_and.reduce(web).sum()),
        "any": int(np.logical_or.reduce(web).sum()),
    }


def overlap(texts: list[str], data: Path) -> dict[str, Any]:
    """How many pages share a run of n words with a benchmark, by n."""
    items = read_benchmarks(("gsm8k", "mmlu", "arc"), str(data))
    column = pa.array(texts, pa.large_string())
    rows = []
    for n in RUNS:
        index = Index([item.text for item in items], n)
        found = index.search(column)
        rows.append(
            {
                "n": n,
                "share": float((found["ngrams"] > 0).mean()),
                "pages": int((found["ngrams"] > 0).sum()),
                "too_short": index.too_short / len(items),
            }
        )
    return {"items": len(items), "pages": len(texts), "rows": rows}


if __name__ == "__main__":
    main()
