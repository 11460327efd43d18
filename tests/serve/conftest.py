"""A server on loopback with two tiny models, for real clients to talk to."""

import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("fastapi")
sys.path.insert(0, str(Path(__file__).parent))

from loopback import open_tiny, run_server, wait_for

from hornbook.infer.engine import Engine
from hornbook.model.huggingface import save_model
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

torch.set_num_threads(1)
TEXT = 'The cat sat on the mat; größer ist 猫 🐈 than {"name": [1, 2]}. ' * 40


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory, opinionated) -> Path:
    """A model directory whose model has strong opinions and knows nothing."""
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=304), [TEXT])
    tokenizer.save(folder)
    network = opinionated(
        tokenizer.vocab_size,
        n_layers=2,
        d_model=32,
        n_heads=4,
        n_kv_heads=2,
        context_length=512,
    )
    save_model(network, folder)
    return folder


@pytest.fixture(scope="session")
def engine(model_directory) -> Engine:
    """The same model in this process: what answers are held against."""
    return open_tiny(model_directory)


@pytest.fixture(scope="session")
def running(model_directory):
    openers = {
        "tiny": lambda: open_tiny(model_directory),
        "twin": lambda: open_tiny(model_directory),
    }
    running = run_server(openers)
    worker = running.service.worker
    wait_for(lambda: worker.ready or worker.failure)
    assert not worker.failure
    yield running
    running.end()


@pytest.fixture(scope="session")
def address(running) -> str:
    return running.address


@pytest.fixture(scope="session")
def client(address):
    openai = pytest.importorskip("openai")
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
