"""nanoGPT as it is, from a checkout: its own train.py, with its own settings.

Its files are linked into a folder of ours, where the data lies in its format: the same
tokens as ours, written as it expects them.
"""

import json
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.data.shards import Shards

Timed = Callable[..., dict[str, Any]]
README = (  # the command of its README for a machine without a GPU
    *("--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=1"),
    *("--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4"),
    *("--n_embd=128", "--max_iters=2000", "--lr_decay_iters=2000", "--dropout=0.0"),
)
CHARACTERS = "config/train_shakespeare_char.py"
LOSS_OF = """
import json, pickle, sys, numpy as np, torch
sys.path.insert(0, ".")
from model import GPT, GPTConfig
found = torch.load("out/ckpt.pt", map_location="cpu", weights_only=False)
model = GPT(GPTConfig(**found["model_args"]))
model.load_state_dict(found["model"])
model.eval()
data = np.fromfile("data/ours/val.bin", dtype=np.uint16).astype(np.int64)
size, total, count = found["model_args"]["block_size"], 0.0, 0
starts = range(0, len(data) - size - 1, size)
with torch.no_grad():
    for first in range(0, len(starts), 32):
        rows = [data[s : s + size + 1] for s in starts[first : first + 32]]
        x = torch.from_numpy(np.stack(rows))
        total += model(x[:, :-1], x[:, 1:].contiguous())[1].item() * x[:, 1:].numel()
        count += x[:, 1:].numel()
print(json.dumps(total / count))
"""


class NanoGPT:
    """A working folder with nanoGPT's files and one data set called ``ours``."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        if not (checkout / "train.py").exists():
            sys.exit(f"{checkout} holds no train.py of nanoGPT; give a checkout of it.")
        self.folder = folder
        folder.mkdir(parents=True)
        for name in ("train.py", "model.py", "configurator.py", "config"):
            (folder / name).symlink_to((checkout / name).resolve())

    def take(self, shards: Path, characters: bool) -> None:
        """Write the tokens of ``shards`` as it wants them; only it reads this pickle."""
        data = self.folder / "data" / "ours"
        data.mkdir(parents=True, exist_ok=True)
        size = 0
        for side, name in (("train", "train.bin"), ("validation", "val.bin")):
            found = Shards.open(shards / side)
            tokens = found.read(0, found.tokens)
            if characters:  # no marks between documents: there is one
                tokens = tokens[tokens != found.end_of_text]
            tokens.astype(np.uint16).tofile(data / name)
            size = max(size, int(tokens.max()) + 1)
        size = size if characters else found.vocab_size
        (data / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": size}))

    def train(
        self, timed: Timed, *arguments: str, config: str = CHARACTERS
    ) -> dict[str, Any]:
        """Run its train.py on our data to its end."""
        command = [
            sys.executable,
            "train.py",
            config,
            "--dataset=ours",
            "--out_dir=out",
        ]
        return timed([*command, *arguments], cwd=self.folder)

    def loss(self, timed: Timed) -> float:
        """The loss over the whole validation set of the checkpoint it left."""
        found = timed([sys.executable, "-c", LOSS_OF], cwd=self.folder)
        return json.loads(found["output"].strip().splitlines()[-1])

    def readme(
        self, shards: Path, seed: int, quick: bool, timed: Timed
    ) -> dict[str, Any]:
        """Its recipe for a CPU; it has one seed only, so ``seed`` just counts the runs."""
        self.take(shards, characters=True)
        few = ("--max_iters=4", "--eval_interval=4") if quick else ()
        run = self.train(timed, *README, "--always_save_checkpoint=True", *few)
        said = re.findall(r"val loss ([\d.]+)", run["output"])
        return {
            "run": seed,
            "seconds": run["seconds"],
            "loss": self.loss(timed),
            "loss_as_printed": float(said[-1]),
            "memory": run["memory"],
        }

    def speed(
        self, shards: Path, shape: dict[str, int], steps: int, gpu: bool, timed: Timed
    ) -> dict[str, Any]:
        """Its tokens per second, compiled and not (and on a GPU in bfloat16)."""
        self.take(shards, characters=True)
        found = {}
        for compiled in ("True",) if gpu else ("True", "False"):
            run = self.train(
                timed,
                *shape_arguments(shape),
                f"--max_iters={steps}",
                f"--compile={compiled}",
                f"--device={'cuda' if gpu else 'cpu'}",
                *("--eval_iters=1", "--eval_interval=100000", "--log_interval=1"),
            )
            times = [float(t) for t in re.findall(r"time ([\d.]+)ms", run["output"])]
            later = sorted(times[len(times) // 2 :])
            seconds = later[len(later) // 2] / 1000
            found["compiled" if compiled == "True" else "eager"] = {
                "tokens_per_second": shape["batch"] * shape["time"] / seconds,
                "memory": run["memory"],
                "mfu_as_printed": re.findall(r"mfu (-?[\d.]+)%", run["output"])[-1],
            }
        return found

    def bpe(
        self, shards: Path, steps: int, quick: bool, timed: Timed
    ) -> dict[str, Any]:
        """Ten million parameters, its usual optimizer settings, compiled: its best here."""
        self.take(shards, characters=False)
        shape = {"layers": 5, "heads": 6, "width": 384, "time": 256, "batch": 12}
        run = self.train(
            timed,
            *shape_arguments(shape),
            *(f"--max_iters={steps}", f"--lr_decay_iters={steps}", "--warmup_iters=20"),
            *("--device=cpu", f"--compile={not quick}", "--eval_iters=10"),
            *(f"--eval_interval={steps}", "--always_save_checkpoint=True"),
        )
        return {"seconds": run["seconds"], "loss": self.loss(timed), "steps": steps}


def shape_arguments(shape: dict[str, int]) -> tuple[str, ...]:
    return (
        f"--n_layer={shape['layers']}",
        f"--n_head={shape['heads']}",
        f"--n_embd={shape['width']}",
        f"--block_size={shape['time']}",
        f"--batch_size={shape['batch']}",
        *("--dropout=0.0", "--bias=False"),
    )
