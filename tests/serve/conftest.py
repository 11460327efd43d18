"""A server on loopback with two tiny models, for real clients to talk to."""

import asyncio
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

pytest.importorskip("fastapi")

from hornbook.infer.engine import Engine
from hornbook.model.config import ModelConfig
from hornbook.model.huggingface import save_model
from hornbook.model.transformer import Transformer
from hornbook.serve.app import create_app
from hornbook.serve.config import Limits
from hornbook.serve.gate import LOOPBACK
from hornbook.serve.meters import Meters
from hornbook.serve.server import Server, listen
from hornbook.serve.service import Service
from hornbook.serve.worker import Worker
from hornbook.tokenizer.base import load_tokenizer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

torch.set_num_threads(1)
TEXT = "The cat sat on the mat; größer ist 猫 🐈 than {\"name\": [1, 2]}. " * 40


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory) -> Path:
    """A model directory whose model has strong opinions and knows nothing."""
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=304), [TEXT])
    tokenizer.save(folder)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        n_layers=2,
        d_model=32,
        n_heads=4,
        n_kv_heads=2,
        context_length=512,
    )
    network = Transformer(config)
    dice = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(0.3 * torch.randn(weights.shape, generator=dice))
    save_model(network, folder)
    return folder


@pytest.fixture(scope="session")
def engine(model_directory) -> Engine:
    """The same model in this process: what answers are held against."""
    return open_tiny(model_directory)


def open_tiny(directory: Path) -> Engine:
    from hornbook.infer.load import open_model

    model, codes = open_model(directory)
    return Engine(model, load_tokenizer(directory), max_rows=4, compiled=False, codes=codes)


@dataclass
class Running:
    """A server in a thread of this process."""

    service: Service
    server: Server
    thread: threading.Thread
    address: str

    def end(self) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=30)


def run_server(openers, keys=(), hosts=LOOPBACK, **limits) -> Running:
    import uvicorn

    meters, asked = Meters(), Limits(**limits)
    service = Service(Worker(openers, asked.waiting, meters), asked, meters)
    app = create_app(service, keys, hosts)
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on")
    server = Server(config)
    work = server.serve(sockets=[listener])
    thread = threading.Thread(target=lambda: asyncio.run(work), daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    return Running(service, server, thread, f"http://127.0.0.1:{port}")


def wait_for(condition, seconds=300.0):
    """Until ``condition()`` holds; the test fails if that takes too long."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)


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
