"""What each classic choice is worth on a small model: norms, positions, feed-forward layers.

    python bench/ablations.py [--quick] [--runs DIR] [--threads 1]

The recipe `ablations`, one setting changed at a time, three seeds each, in bits per byte of
held-out text. The table with its intervals is what the book quotes. Interrupted and started
again with the same DIR, it goes on. Two threads wait for each other as soon as anything else
runs; one doesn't.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.measure import bar, finish  # noqa: E402
from hornbook.ablate import ablate  # noqa: E402
from hornbook.recipe import load  # noqa: E402

OVER, QUICK_OVER = "norm,position,mlp,norm_place", "norm"
MINUTES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one setting, a few steps")
    parser.add_argument("--runs", type=Path, help="keep the runs here")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        runs = options.runs or Path(scratch)
        overrides = ("pretrain.steps=4",) if options.quick else ()
        over, seeds = (QUICK_OVER, 2) if options.quick else (OVER, 3)
        result = ablate(load("ablations", overrides), over, seeds, runs, "cpu", False)
    known = result["variants"]
    # A training that other programs disturbed tells nothing of what it takes.
    least = sum(seeds * min(v["seconds"]) for v in known if "seconds" in v)
    what = "minutes of training, all variants, each at the pace of its quickest seed"
    bars = [
        bar(what, least / 60, most=MINUTES),
        bar(
            "variants that trained to the end",
            sum("mean" in v for v in known),
            len(known),
        ),
    ]
    finish("ablations", options.quick, bars, result=result)


if __name__ == "__main__":
    main()
