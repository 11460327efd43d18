"""Trains the language model that comes with Hornbook and measures it beside py3langid.

    python bench/language.py --data FOLDER [--write] [--quick] [--peers PYTHON]

FOLDER holds flores_langid; every fifth of its sentences (the same in all languages) is never
trained on. books_multi, tinystories_ru and c4_sample, where present, are texts of another
kind. ``--write`` stores the model.
"""

import argparse
import gzip
import hashlib
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from hornbook.core.files import write_json
from hornbook.data.classify.classifier import SHIPPED
from hornbook.data.classify.language import LanguageModel, load_language_model
from hornbook.data.classify.train_language import train_languages

# FLORES's codes, without the script, and the short ones.
PAIRS = """
amh:am arb:ar ben:bn bul:bg cat:ca ces:cs dan:da deu:de ell:el eng:en fin:fi fra:fr
heb:he hin:hi hun:hu ind:id ita:it jpn:ja kor:ko lit:lt nld:nl nob:no pes:fa pol:pl
por:pt ron:ro rus:ru spa:es srp:sr swe:sv swh:sw tam:ta tel:te tha:th tur:tr ukr:uk
urd:ur vie:vi zho:zh
"""
CODES = dict(pair.split(":") for pair in PAIRS.split())
Labelled = list[tuple[str, str]]
HELD_OUT = 5  # every fifth sentence

PEER = """
import json, sys, time
import py3langid
if sys.argv[2] != "all": py3langid.set_languages(sys.argv[2].split(","))
sets, found = json.load(open(sys.argv[1])), {}
py3langid.classify("warm up")
for name, texts in sets.items():
    start = time.process_time()
    codes = [py3langid.classify(text)[0] for text in texts]
    found[name] = {"codes": codes, "seconds": time.process_time() - start}
print(json.dumps(found))
"""


def short_code(code: str) -> str:
    return "ar-Latn" if code == "arb_Latn" else CODES[code.split("_")[0]]


def records(path: Path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def load(folder: Path) -> tuple[Labelled, dict[str, Labelled]]:
    """What to train on, and the sets to measure."""
    train, held = [], []
    by_language = defaultdict(list)
    for record in records(folder / "flores_langid" / "flores_dev400.jsonl.gz"):
        pair = (record["text"], short_code(record["lang"]))
        (train if record["n"] % HELD_OUT else held).append(pair)
        if record["n"] % HELD_OUT == 0:
            by_language[record["lang"]].append(record["text"])
    sets = {
        "sentences": held,
        "first 40 characters": [(text[:40], code) for text, code in held],
        "five sentences": [
            (" ".join(texts[i : i + 5]), short_code(code))
            for code, texts in by_language.items()
            for i in range(0, len(texts), 5)
        ],
    }
    return train, sets | other_kinds(folder)


def other_kinds(folder: Path) -> dict[str, Labelled]:
    """Novels, stories and web pages: nothing like them was trained on."""
    sets = {}
    books = folder / "books_multi"
    if books.is_dir():
        sets["novels, 500 characters"] = [
            (r["text"][i : i + 500], code)
            for code in ("fr", "de", "es", "pt", "uk")
            for r in records(books / f"{code}.jsonl.gz")
            for i in range(2000, len(r["text"]) - 500, 20_000)
        ]
        poems = [r["text"] for r in records(books / "zh_tang_poems.jsonl.gz")]
        sets["poems (zh)"] = [(text, "zh") for text in poems[::40]]
    for path in sorted((folder / "tinystories_ru").glob("*.jsonl.gz"))[:1]:
        stories = [next(v for v in r.values() if isinstance(v, str) and len(v) > 99)
                   for r in records(path)]  # fmt: skip
        sets["stories (ru)"] = [(text, "ru") for text in stories[::10]]
    pages = folder / "c4_sample" / "c4.jsonl"
    if pages.is_file():
        texts = [json.loads(line)["text"] for line in pages.open(encoding="utf-8")]
        sets["web pages (en)"] = [(text, "en") for text in texts]
    return sets


def measure(model: LanguageModel, sets: dict[str, Labelled]) -> dict[str, dict]:
    found = {}
    for name, pairs in sets.items():
        column = pa.array([text for text, _ in pairs], pa.large_string())
        model.identify(column)
        start = time.process_time()
        codes, _ = model.identify(column)
        seconds = time.process_time() - start
        wrong = [(y, x) for (_, y), x in zip(pairs, codes, strict=True) if x != y]
        found[name] = {
            "texts": len(pairs),
            "accuracy": 1 - len(wrong) / len(pairs),
            "MB/s": sum(len(t.encode()) for t, _ in pairs) / 1e6 / seconds,
            "mistaken": [f"{y} for {x}" for (y, x), _ in Counter(wrong).most_common(4)],
        }
    return found


def measure_peer(python: str, sets: dict[str, Labelled], languages: str) -> dict:
    """py3langid over the same texts, all its languages or only ours; {} when missing."""
    same = {"nb": "no", "nn": "no", "wuu": "zh", "yue": "zh"}
    sets = {n: [p for p in pairs if p[1] != "ar-Latn"] for n, pairs in sets.items()}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as handle:
        json.dump({n: [t for t, _ in pairs] for n, pairs in sets.items()}, handle)
        handle.flush()
        done = subprocess.run(
            [python, "-c", PEER, handle.name, languages],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        print("  py3langid: left out", (done.stderr.strip().splitlines() or ["?"])[-1])
        return {}
    answers = json.loads(done.stdout)
    return {
        name: {
            "accuracy": float(np.mean([
                same.get(x, x) == y
                for (_, y), x in zip(pairs, answers[name]["codes"], strict=True)
            ])),
            "MB/s": sum(len(t.encode()) for t, _ in pairs) / 1e6 / answers[name]["seconds"],
        }
        for name, pairs in sets.items()
    }  # fmt: skip


def card(folder: Path, train: Labelled, found: dict) -> dict:
    data = (folder / "flores_langid" / "flores_dev400.jsonl.gz").read_bytes()
    return {
        "what": "Which of 40 languages is a text written in?",
        "data": "FLORES-200 dev, sentences 1 to 400 without every fifth, 41 languages "
        "(Goyal et al. 2022, NLLB Team 2022; CC BY-SA 4.0)",
        "data_sha256": hashlib.sha256(data).hexdigest(),
        "sentences": len(train),
        "licence": "CC BY-SA 4.0, as the sentences it learnt from",
        "measured": {name: round(f["accuracy"], 4) for name, f in found.items()},
        "limits": "A language that is not among its own is taken for the nearest one in the "
        "same script. Danish and Norwegian, and texts below a line's length, are told "
        "apart least well. Chinese in both its scripts is zh.",
    }


def bars(found: dict, peers: dict) -> list[dict]:
    result = []
    for name, least in (("sentences", 0.99), ("five sentences", 0.999)):
        value = found[name]["accuracy"]
        result.append({"what": f"accuracy, {name}", "value": value,
                       "bar": f">= {least}", "holds": value >= least})  # fmt: skip
    for name, ours in found.items():
        if name in peers.get("all its languages", {}):
            theirs = peers["all its languages"][name]["accuracy"]
            result.append({"what": f"accuracy, {name}, against py3langid",
                           "value": ours["accuracy"], "bar": f">= {theirs:.4f}",
                           "holds": ours["accuracy"] >= theirs})  # fmt: skip
    speed = min(f["MB/s"] for f in found.values())
    return [*result, {"what": "slowest set, MB/s", "value": speed, "bar": ">= 50",
                      "holds": speed >= 50}]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--quick", action="store_true", help="no training, no peer")
    options = parser.parse_args()
    train, sets = load(options.data)
    if options.quick:
        model = load_language_model()
    else:
        model = train_languages([t for t, _ in train], [code for _, code in train])
    found, peers = measure(model, sets), {}
    if not options.quick:
        peers = {
            "all its languages": measure_peer(options.peers, sets, "all"),
            "only ours": measure_peer(
                options.peers, sets, ",".join(c for c in model.known() if "-" not in c)
            ),
        }
    if options.write:
        model.card.update(card(options.data, train, found))
        model.save(SHIPPED / "language")
    result = {
        "bench": "language",
        "quick": options.quick,
        "bars": bars(found, peers),
        "found": found,
        "py3langid": peers,
        "machine": f"{platform.machine()}, one core, CPU time",
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    if not options.quick:
        write_json(Path(__file__).parent / "results" / "language.json", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
