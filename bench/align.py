"""Fine-tuning beside TRL: SFT and DPO on the same tiny Llama, conversations and CPU.

    python bench/align.py --peer PYTHON [--quick]

PYTHON is an interpreter with trl and its needs. Every side runs in a process of its own.
Tokens are those of the conversations, padding not counted; a step takes the same number of
conversations on both sides, and the first two steps are not timed. Each side computes in
float32, eagerly, with one thread.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import bar, finish

SIDE = Path(__file__).parent / "align_side.py"


def side(python: str, who: str, what: str, steps: int, folder: Path) -> dict:
    """One measurement in a fresh process: tokens per second, peak memory, and waste."""
    root = Path(__file__).parents[1]
    environment = os.environ | {
        "PYTHONPATH": str(root),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [python, str(SIDE), who, what, str(steps), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Measure both sides, print bars, keep the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peer", default=sys.executable)
    options = parser.parse_args()
    steps = 5 if options.quick else 12
    bars, found = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        side(sys.executable, "prepare", "-", 0, folder)
        for what in ("sft", "dpo"):
            ours = side(sys.executable, "ours", what, steps, folder)
            theirs = side(options.peer, "trl", what, steps, folder)
            found[what] = {"ours": ours, "trl": theirs}
            share = ours["tokens_per_second"] / theirs["tokens_per_second"]
            memory = ours["peak_mib"] / theirs["peak_mib"]
            bars.append(bar(f"{what}: tokens/s, times TRL's", share, least=1.5))
            bars.append(bar(f"{what}: peak memory, of TRL's", memory, most=1.0))
        waste = found["sft"]["ours"]["waste"]
        bars.append(bar("sft: packing waste, share of places", waste, most=0.02))
    finish("align", options.quick, bars, ("trl", "peft"), sides=found)


if __name__ == "__main__":
    main()
