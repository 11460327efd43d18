"""The facts of a run that never was, in every section a report can have."""

import copy
import math
import random

import pytest

REMOVED = {
    "too short": "import sys\nfrom ._impl import *\n",
    "few letters": "0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88, 0x97, 0xa6,\n" * 4,
    "repeated lines": "# This file is generated; do not edit it by hand.\n" * 5,
    "exact duplicate": '"""Support for the tests."""\n\ndef load(*args):\n    return args\n',
    "near duplicate": "class Codec(codecs.Codec):\n\n    def encode(self, input):\n"
    "        return codecs.charmap_encode(input, errors, encoding_table)\n",
}

LONGEST = [
    "================",
    "NotImplementedError",
    "DeprecationWarning",
    "AttributeError",
    "subprocess",
    "isinstance",
    "UnicodeDecodeError",
    "configuration",
]

SAMPLE = (
    '    """Read a configuration file and return its sections.\n\n'
    "    The file is opened in text mode; a missing one is an error.\n"
    '    """\n'
    "    with open(path) as handle:\n"
    "        parser = ConfigParser()\n"
    "        parser.read_file(handle)\n"
    "    return {name: dict(parser[name]) for name in parser.sections()}\n"
)


def curve(steps, start, end, noise, rng, every=1):
    fall = [
        (s, end + (start - end) * math.exp(-8 * s / steps) * (1 - s / steps / 4))
        for s in range(0, steps + 1, every)
    ]
    return [(s, y + rng.gauss(0, noise)) for s, y in fall]


def noise_text(step, rng):
    if step >= 2000:
        return SAMPLE
    if step >= 500:
        return '    """Read the path.\n    """\n    self.path = path\n    return self.read()\n'
    letters = "etaoin shrdlu()_:.\n=self "
    return "".join(rng.choice(letters) for _ in range(260))


def series(rng):
    steps = 2000
    rate = [
        (s, 0.02 * min(1, s / 40) * (0.55 + 0.45 * math.cos(math.pi * s / steps)))
        for s in range(0, steps, 4)
    ]
    norm = [
        (s, 0.4 + 3 * math.exp(-s / 60) + abs(rng.gauss(0, 0.08)))
        for s in range(1, steps)
    ]
    norm[700] = (701, 3.1)
    return {
        "pretrain/loss": {
            "x": "step",
            "unit": "nats",
            "pts": curve(steps, 8.3, 2.35, 0.09, rng),
        },
        "pretrain/validation": {
            "x": "step",
            "unit": "nats",
            "pts": curve(steps, 8.31, 2.56, 0.005, rng, 100),
        },
        "pretrain/learning_rate": {"x": "step", "pts": rate},
        "pretrain/gradient_norm": {
            "x": "step",
            "unit": "before clipping",
            "pts": norm,
        },
        "pretrain/tokens_per_second": {
            "x": "step",
            "unit": "training only",
            "pts": [(s, 24000 + rng.gauss(0, 700)) for s in range(1, steps)],
        },
        "sft/loss": {
            "x": "step",
            "unit": "nats",
            "pts": curve(400, 3.1, 1.4, 0.1, rng),
        },
        "sft/validation": {
            "x": "step",
            "unit": "nats",
            "pts": curve(400, 3.1, 1.5, 0.01, rng, 50),
        },
        "dpo/loss": {
            "x": "step",
            "unit": "nats",
            "pts": curve(150, 0.693, 0.42, 0.03, rng),
        },
        "dpo/margin": {
            "x": "step",
            "unit": "nats",
            "pts": [(s, 1.6 * (1 - math.exp(-s / 40))) for s in range(151)],
        },
        "dpo/accuracy": {
            "x": "step",
            "unit": "share of pairs",
            "pts": [
                (s, 0.5 + 0.36 * (1 - math.exp(-s / 30)) + rng.gauss(0, 0.02))
                for s in range(151)
            ],
        },
    }


def funnel():
    def step(name, documents, sizes, **reasons):
        reasons = {k.replace("_", " "): v for k, v in reasons.items()}
        return {
            "name": name,
            "documents_in": documents[0],
            "documents_out": documents[1],
            "bytes_in": sizes[0],
            "bytes_out": sizes[1],
            "reasons": {
                k: {"documents": d, "bytes": b} for k, (d, b) in reasons.items()
            },
            "examples": {
                k: [
                    {"text": REMOVED[k], "path": f"encodings/cp{i}.py", "note": note}
                    for i, note in enumerate(("0.12 of 0.30", "", "0.07 of 0.30", ""))
                ]
                for k in reasons
                if k in REMOVED
            },
        }

    collect = step("collect", (1874, 1874), (31_204_113, 31_204_113))
    collect["skipped"] = [
        {"path": "lib2to3/Grammar.pickle", "reason": "not text"},
        {"path": "idlelib/Icons/idle.gif", "reason": "not text"},
        {"path": "encodings/old.py", "reason": "unreadable (permission denied)"},
    ]
    collect["skipped_count"] = {"not text": 212, "unreadable": 1}
    return [
        collect,
        step("clean", (1874, 1874), (31_204_113, 31_180_220)),
        step(
            "filter",
            (1874, 1612),
            (31_180_220, 26_904_551),
            too_short=(131, 12_411),
            few_letters=(38, 2_904_113),
            repeated_lines=(61, 891_222),
            mostly_digits=(14, 391_222),
            no_stop_words=(18, 76_701),
        ),
        step(
            "dedup",
            (1612, 1409),
            (26_904_551, 14_112_871),
            exact_duplicate=(112, 9_122_002),
            near_duplicate=(91, 3_669_678),
        ),
        step(
            "split",
            (1409, 1338),
            (14_112_871, 13_402_117),
            held_out_for_validation=(71, 710_754),
        ),
    ]


def facts():
    rng = random.Random(7)
    prompt = "def read_config(path):\n"
    digest = "0123456789abcdef" * 4
    return {
        "run": {
            "name": "hello",
            "started": "2026-05-04 09:12 UTC",
            "seconds": 803.2,
            "seed": 1,
            "version": "0.1.0",
            "commit": "4f0c2d9",
            "restarts": 1,
        },
        "environment": {
            "device": "cpu, 2 threads",
            "python": "3.11.9",
            "torch": "2.13.0+cpu",
            "platform": "Linux x86_64",
            "precision": "bfloat16 autocast",
            "compiled": True,
        },
        "config": {
            "name": "hello",
            "seed": 1,
            "data": {
                "sources": [{"kind": "python-stdlib", "include_tests": False}],
                "clean": {"fix_mojibake": True, "normalize": True},
                "filters": {"enabled": True, "min_bytes": 200, "max_bytes": 1_000_000},
                "dedup": {"enabled": True, "ngram": 5, "bands": 14, "rows": 8},
                "split": {"by": "document", "holdout": 0.05},
            },
            "tokenizer": {"kind": "bpe", "vocab_size": 4096, "pattern": "gpt4"},
            "model": {
                "n_layers": 5,
                "d_model": 256,
                "n_heads": 4,
                "n_kv_heads": 2,
                "context_length": 256,
                "mlp": "swiglu",
                "qk_norm": True,
                "rope_base": 10000.0,
            },
            "pretrain": {
                "steps": 2000,
                "batch": 16,
                "optimizer": "muon",
                "learning_rate": 0.02,
                "schedule": "cosine",
                "warmup": 0.02,
                "final": 0.1,
                "clip": 1.0,
            },
            "sft": {"train": {"steps": 400, "batch": 16}, "data": {"max_pairs": 20000}},
            "dpo": {"train": {"steps": 150, "batch": 8}, "beta": 0.1},
        },
        "config_changed": {"data.split.holdout": 0.1, "pretrain.batch": 32},
        "sources": [
            {
                "name": "python-stdlib",
                "documents": 1874,
                "bytes": 31_204_113,
                "licence": "PSF",
            }
        ],
        "funnel": funnel(),
        "tokenizer": {
            "kind": "bpe",
            "vocab_size": 4096,
            "bytes_per_token": {"training text": 3.71, "held-out text": 3.62},
            "longest": [" " * 32, *LONGEST],
            "examples": [
                ["def", " read", "_", "config", "(", "path", "):", "\n", "    return"],
                ["What", " does", " `", "sh", "lex", ".", "quote", "`", " do", "?"],
            ],
            "facts": {"merges": 3827, "seconds_to_train": 4.2},
        },
        "model": {
            "shape": {
                "n_layers": 5,
                "d_model": 256,
                "n_heads": 4,
                "context_length": 256,
                "n_kv_heads": 2,
                "d_head": 64,
                "d_ff": 704,
                "vocab_size": 4096,
                "mlp": "swiglu",
                "qk_norm": True,
                "tied": False,
            },
            "parameters": {
                "embedding": 1_048_576,
                "attention": 983_680,
                "feed_forward": 2_703_360,
                "norms": 2_816,
                "head": 1_048_576,
            },
            "memory_bytes": {
                "weights": 23_148_032,
                "gradients": 23_148_032,
                "optimizer": 30_402_112,
            },
            "flops_per_token": 3.21e7,
        },
        "training": {
            "steps": 2000,
            "tokens": 8_192_000,
            "train_tokens": 3_612_000,
            "validation_tokens": 196_000,
            "references": {"frequencies only": 6.32},
        },
        "series": series(rng),
        "events": [
            {
                "step": 640,
                "kind": "restart",
                "text": "resumed from the checkpoint of step 600",
                "stage": "pretrain",
            },
            {
                "step": 701,
                "kind": "spike",
                "text": "gradient norm 3.10, clipped to 1.00",
                "stage": "pretrain",
            },
        ],
        "post": {
            "sft": {"pairs": 8412, "held_out_pairs": 442, "answer_tokens": 512_331},
            "dpo": {"pairs": 2210, "held_out_pairs": 116, "beta": 0.1},
        },
        "evals": [
            {
                "task": "held-out text",
                "metric": "bits per byte",
                "value": 1.463,
                "n": 710_754,
                "ci95": [1.41, 1.52],
                "higher_is_better": False,
                "baselines": {
                    "xz -9e": 1.871,
                    "zstd -19": 1.932,
                    "5-gram of bytes": 2.214,
                },
                "note": "n counts bytes; the interval resamples documents.",
            },
            {
                "task": "functions that parse",
                "metric": "share accepted by ast.parse",
                "value": 0.62,
                "n": 100,
                "ci95": [0.522, 0.709],
            },
            {
                "task": "instruction pairs",
                "metric": "answer loss in nats",
                "value": 1.503,
                "n": 442,
                "ci95": [1.46, 1.55],
                "higher_is_better": False,
                "baselines": {"before fine-tuning": 3.114},
            },
            {
                "task": "preference pairs",
                "metric": "chosen answer ranked first",
                "value": 0.853,
                "n": 116,
                "ci95": [0.777, 0.906],
                "baselines": {"chance": 0.5, "before DPO": 0.612},
            },
        ],
        "samples": [
            {"step": s, "prompt": prompt, "text": noise_text(s, rng)}
            for s in (0, 250, 500, 1000, 2000)
        ]
        + [
            {
                "step": s,
                "prompt": "The purpose of this module is",
                "text": noise_text(s, rng),
            }
            for s in (0, 500, 2000)
        ],
        "transcripts": [
            {
                "turns": [
                    {"role": "user", "content": "What does `shlex.quote` do?"},
                    {
                        "role": "assistant",
                        "content": "It returns a shell-escaped version of the string *s*.",
                    },
                ]
            },
            {
                "turns": [
                    {
                        "role": "user",
                        "content": "Write a function that adds two numbers.",
                    },
                    {
                        "role": "assistant",
                        "content": "def add(a, b):\n    return a.add(a, a, a, a, a, a, a)",
                    },
                ],
                "failed": True,
                "note": "the answer repeats itself",
            },
        ],
        "transcript_rule": "The first questions of the recipe, all of them, greedy decoding.",
        "stages": [
            {"name": n, "seconds": s}
            for n, s in (
                ("collect", 3.1),
                ("filter", 9.4),
                ("dedup", 14.2),
                ("tokenizer", 6.8),
                ("shards", 8.8),
                ("pretrain", 512.0),
                ("sft", 121.0),
                ("dpo", 66.0),
                ("evaluate", 58.0),
            )
        ],
        "checks": [
            {
                "id": "round trip",
                "ok": True,
                "text": "The tokenizer gives back the held-out text, byte for byte",
            }
        ],
        "artifacts": [
            {"path": name, "sha256": digest, "bytes": size}
            for name, size in (
                ("tokenizer/tokenizer.json", 214_332),
                ("shards/index.json", 812),
                ("shards/train-00000.npy", 7_224_128),
                ("pretrain/model.safetensors", 23_148_992),
                ("dpo/model.safetensors", 23_148_992),
            )
        ],
        "commands": ["hornbook run hello --set seed=1", "hornbook chat runs/hello"],
    }


@pytest.fixture(scope="session")
def _facts():
    return facts()


@pytest.fixture
def fake_facts(_facts):
    """A fresh copy that a test may change."""
    return copy.deepcopy(_facts)
