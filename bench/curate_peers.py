"""The peers of ``curate.py``, one per process: word 5-grams, 112 hashes, 14 bands of 8 rows.

    python curate_peers.py NAME CORPUS.jsonl

Prints one JSON line with the CPU seconds of the work, imports and warm-up left out.
"""

import json
import re
import sys
import tempfile
import time

WORD = re.compile(r"\w+")
HASHES, BANDS, ROWS, NGRAM = 112, 14, 8, 5


def texts(path: str) -> list[str]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def shingles(text: str) -> list[str]:
    words = WORD.findall(text.lower())
    return [
        " ".join(words[i : i + NGRAM]) for i in range(max(len(words) - NGRAM + 1, 1))
    ]


def components(rows: list[list]) -> int:
    """How many documents go when all that share a band key are one cluster."""
    parent = list(range(len(rows)))

    def find(x: int) -> int:
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    for band in range(BANDS):
        seen: dict = {}
        for i, row in enumerate(rows):
            a, b = find(i), find(seen.setdefault(row[band], i))
            parent[max(a, b)] = min(a, b)
    return sum(find(i) != i for i in range(len(rows)))


def write_kept(path: str, documents: list[str]) -> None:
    with tempfile.TemporaryFile("w") as out:
        for text in documents:
            out.write(json.dumps({"text": text}) + "\n")


def datasketch(path: str) -> dict:
    from datasketch import MinHash

    MinHash(num_perm=HASHES).update(b"warm")
    start = time.process_time()
    documents = texts(path)
    rows = []
    for text in documents:
        m = MinHash(num_perm=HASHES)
        m.update_batch([s.encode() for s in shingles(text)])
        v = m.hashvalues
        rows.append([v[b * ROWS : (b + 1) * ROWS].tobytes() for b in range(BANDS)])
    removed = components(rows)
    write_kept(path, documents[removed:])
    return {"seconds": time.process_time() - start, "removed": removed}


def rensa(path: str) -> dict:
    from rensa import RMinHash

    start = time.process_time()
    documents = texts(path)
    rows = []
    for text in documents:
        m = RMinHash(num_perm=HASHES, seed=1)
        m.update(shingles(text))
        v = m.digest()
        rows.append([tuple(v[b * ROWS : (b + 1) * ROWS]) for b in range(BANDS)])
    removed = components(rows)
    write_kept(path, documents[removed:])
    return {"seconds": time.process_time() - start, "removed": removed}


def gaoya(path: str) -> dict:
    from gaoya.minhash import MinHashStringIndex

    start = time.process_time()
    documents = texts(path)
    index = MinHashStringIndex(
        hash_size=32,
        jaccard_threshold=0.7,
        num_bands=BANDS,
        band_size=ROWS,
        num_hashes=HASHES,
        analyzer="word",
        lowercase=True,
        ngram_range=(NGRAM, NGRAM),
    )
    for number, text in enumerate(documents):
        index.insert_document(number, text)
    removed = sum(
        min(index.query(text), default=i) < i for i, text in enumerate(documents)
    )
    write_kept(path, documents[removed:])
    return {"seconds": time.process_time() - start, "removed": removed}


def daft(path: str) -> dict:
    """Signatures only: Daft has no step that finds or removes the duplicates."""
    import daft
    from daft import col

    start = time.process_time()
    frame = daft.read_json(path)
    text = col("text").normalize(remove_punct=True, lowercase=True, white_space=True)
    frame = frame.with_column(
        "signature", text.minhash(num_hashes=HASHES, ngram_size=NGRAM, seed=1)
    )
    count = frame.select("signature").collect().count_rows()
    return {"seconds": time.process_time() - start, "documents": count}


def datatrove(path: str) -> dict:
    from pathlib import Path

    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    load_word_tokenizer("eng").word_tokenize("warm up")
    config = MinhashConfig(n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS)
    source = Path(path)
    start = time.process_time()
    with tempfile.TemporaryDirectory() as base:
        reader = JsonlReader(str(source.parent), glob_pattern=source.name)
        steps = [
            [reader, MinhashDedupSignature(f"{base}/sigs", config)],
            [MinhashDedupBuckets(f"{base}/sigs", f"{base}/buckets", config=config)],
            [MinhashDedupCluster(f"{base}/buckets", f"{base}/remove", config=config)],
            [reader, MinhashDedupFilter(f"{base}/remove"), JsonlWriter(f"{base}/out")],
        ]
        for number, step in enumerate(steps):
            LocalPipelineExecutor(
                step, tasks=BANDS if number == 1 else 1, workers=1,
                logging_dir=f"{base}/log{number}",
            ).run()  # fmt: skip
    return {"seconds": time.process_time() - start}


def datatrove_rules(path: str) -> dict:
    """Which texts each rule set keeps, words being what lies between white space."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.pipeline.filters import fineweb_quality_filter as f
    from datatrove.pipeline.filters import gopher_quality_filter as q
    from datatrove.pipeline.filters import gopher_repetition_filter as r

    for module in (f, q, r):
        module.split_into_words = lambda text, language: text.split()
    filters = {
        "gopher quality": GopherQualityFilter(),
        "gopher repetition": GopherRepetitionFilter(),
        "fineweb": FineWebQualityFilter(),
    }
    c4 = {"min_words_per_line": 5, "min_num_sentences": 3}  # as the code that made C4
    filters["c4"] = C4QualityFilter(**c4)
    filters["c4 open"] = C4QualityFilter(filter_no_terminal_punct=False, **c4)
    start = time.process_time()
    documents = texts(path)
    kept = {
        name: [filter_.filter(Document(text=t, id="0")) is True for t in documents]
        for name, filter_ in filters.items()
    }
    return {"seconds": time.process_time() - start, "kept": kept}


if __name__ == "__main__":
    peers = {
        "datasketch": datasketch,
        "rensa": rensa,
        "gaoya": gaoya,
        "daft": daft,
        "datatrove": datatrove,
        "datatrove-rules": datatrove_rules,
    }
    print(json.dumps(peers[sys.argv[1]](sys.argv[2])))
