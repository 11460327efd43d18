"""datatrove's funnel for ``funnel.py``: rules, MinHash in four steps, tokens; one process.

python funnel_peer.py FOLDER_OF_JSONL TOKENIZER.json
"""

import json
import sys
import tempfile
import time

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.word_tokenizers import load_word_tokenizer


def main(folder: str, tokenizer: str) -> None:
    load_word_tokenizer("eng").word_tokenize("warm up")
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    with tempfile.TemporaryDirectory() as base:
        kept = JsonlReader(f"{base}/rules")
        steps = [
            [
                JsonlReader(folder),
                GopherRepetitionFilter(),
                GopherQualityFilter(),
                C4QualityFilter(filter_no_terminal_punct=False),
                FineWebQualityFilter(),
                JsonlWriter(f"{base}/rules"),
            ],
            [kept, MinhashDedupSignature(f"{base}/sigs", config)],
            [MinhashDedupBuckets(f"{base}/sigs", f"{base}/buckets", config=config)],
            [MinhashDedupCluster(f"{base}/buckets", f"{base}/remove", config=config)],
            [
                kept,
                MinhashDedupFilter(f"{base}/remove"),
                DocumentTokenizer(
                    f"{base}/tokens",
                    local_working_dir=f"{base}/work",
                    tokenizer_name_or_path=tokenizer,
                    eos_token="<|endoftext|>",
                ),
            ],
        ]
        start = time.perf_counter()
        for number, step in enumerate(steps):
            LocalPipelineExecutor(
                step,
                tasks=config.num_buckets if number == 2 else 1,
                workers=1,
                logging_dir=f"{base}/log{number}",
            ).run()
        print(json.dumps({"seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main(*sys.argv[1:])
