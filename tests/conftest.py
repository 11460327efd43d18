"""What several tests share: a small corpus, a small recipe, and a way to run it."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

ROOT = Path(__file__).parent.parent
STDLIB = Path(sysconfig.get_paths()["stdlib"])

SMALL = f"""
name = "small"
[[data.sources]]
kind = "files"
path = {json.dumps(str(STDLIB / "email"))}
[data.split]
holdout = 0.2
[tokenizer]
vocab_size = 400
[model]
n_layers = 2
d_model = 32
n_heads = 2
n_kv_heads = 1
context_length = 64
[pretrain]
steps = 30
batch = 4
checkpoint_every = 5
validate_every = 15
[sft.train]
steps = 8
batch = 4
checkpoint_every = 3
[dpo.train]
steps = 6
batch = 4
optimizer = "adamw"
learning_rate = 1e-4
checkpoint_every = 2
[evaluate]
functions = 4
max_tokens = 20
[samples]
prompts = ["def f("]
questions = ["What does `email.message_from_string` do?"]
[samples.sampling]
max_tokens = 20
"""


@pytest.fixture(scope="session")
def small_recipe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def start():
    """Starts the command line in a process of its own, which a test may kill."""
    return start_command


@pytest.fixture(scope="session")
def opinionated():
    """Makes a tiny model that knows nothing and has strong opinions.

    Called with the vocabulary's size, a seed, how strong, and the shape's other settings.
    """
    import torch

    from hornbook.model.config import ModelConfig
    from hornbook.model.transformer import Transformer

    def make(vocab_size, seed=1, strength=0.3, **shape):
        network = Transformer(ModelConfig(vocab_size=vocab_size, **shape))
        dice = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weights in network.parameters():
                weights.copy_(strength * torch.randn(weights.shape, generator=dice))
        return network

    return make


def start_command(*arguments: str) -> subprocess.Popen:
    # Tests run side by side: more threads than cores would wait for each other.
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    return subprocess.Popen(
        [sys.executable, "-m", "hornbook.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "160", "OMP_NUM_THREADS": threads},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Started in the background, a test run ignores Ctrl-C, and a child would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.fixture(scope="session")
def small_run(small_recipe, tmp_path_factory) -> Path:
    """The whole small run, done once for all tests that look at its results."""
    runs = tmp_path_factory.mktemp("runs")
    process = start_command("run", str(small_recipe), "--runs", str(runs))
    out, error = process.communicate(timeout=900)
    assert process.returncode == 0, error
    (runs / "small" / "stdout.txt").write_text(out)
    return runs / "small"
