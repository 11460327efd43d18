"""What the mask for personal data takes from texts that hold hardly any, and how fast.

    python bench/masking.py [--quick] [--data FOLDER]

Books of the 19th century and earlier hold no phone numbers, cards or keys, so whatever is
masked there but an address of a publisher is a mistake; the standard library holds test
addresses in plenty. FOLDER holds books_en; without it only the library is measured.
"""

import argparse
import io
import json
import os
import platform
import sys
import sysconfig
import time
from collections import Counter
from pathlib import Path

import zstandard

from hornbook.core.files import write_json
from hornbook.data.read import pii

HERE = Path(__file__).parent
EXAMPLES = {
    "e-mail": pii.EXAMPLE_EMAIL,
    "IPv4": pii.EXAMPLE_IP,
    "IPv6": pii.EXAMPLE_IPV6,
    "phone": pii.EXAMPLE_PHONE,
    "card": pii.EXAMPLE_CARD,
    "bank account": pii.EXAMPLE_IBAN,
    "key": pii.EXAMPLE_KEY,
}
MAX_MISTAKES = 0.1  # per MB of books


def books(folder: Path, files: int) -> list[str]:
    texts = []
    for path in sorted(folder.glob("books_en/*.zst"))[:files]:
        with open(path, "rb") as file:
            stream = zstandard.ZstdDecompressor().stream_reader(file)
            texts += [json.loads(line)["text"] for line in io.TextIOWrapper(stream)]
    return texts


def library(files: int) -> list[str]:
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = [p for p in sorted(root.rglob("*.py")) if "site-packages" not in p.parts]
    return [path.read_text(errors="replace") for path in paths[:files]]


def measure(texts: list[str]) -> dict:
    size = sum(len(text.encode()) for text in texts) / 1e6
    start = time.perf_counter()
    masked = [pii.mask(text) for text in texts]
    seconds = time.perf_counter() - start
    counts = Counter(
        {
            kind: sum(
                m.count(e) - t.count(e) for m, t in zip(masked, texts, strict=True)
            )
            for kind, e in EXAMPLES.items()
        }
    )
    return {
        "MB": round(size, 2),
        "MB/s": round(size / seconds, 1),
        "masked": dict(counts),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    default = os.environ.get("HORNBOOK_TEST_DATA", HERE.parents[1] / "shared/data")
    parser.add_argument("--data", type=Path, default=Path(default))
    options = parser.parse_args()
    measured = {"python-stdlib": measure(library(200 if options.quick else 10**6))}
    if (options.data / "books_en").is_dir():
        measured["books"] = measure(books(options.data, 1 if options.quick else 8))
    bars = []
    if "books" in measured:
        rate = sum(measured["books"]["masked"].values()) / measured["books"]["MB"]
        what = "things masked per MB of old books, which hold none"
        bars.append({"what": what, "value": round(rate, 3), "bar": MAX_MISTAKES})
        bars[-1]["holds"] = rate <= MAX_MISTAKES
    result = {"bench": "masking", "bars": bars, "measured": measured}
    result["machine"] = {"processor": platform.machine(), "cores": os.cpu_count()}
    result["versions"] = {"python": sys.version.split()[0]}
    if not options.quick:
        write_json(HERE / "results" / "masking.json", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
