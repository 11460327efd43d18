"""The numbers of lm-evaluation-harness: its own Transformers backend, our engine under it,
and our benchmarks, on the same model and the same items of the real sets."""

import os
import sys
from pathlib import Path

import msgspec
import pytest
import torch

from hornbook.benchmarks import run_benchmarks
from hornbook.evaluate.task import load_task
from hornbook.infer.engine import Engine
from hornbook.model.config import ModelConfig
from hornbook.model.huggingface import save_model
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import load_tokenizer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.lm_eval_tasks import TASKS, write_tasks

pytest.importorskip("lm_eval")
pytest.importorskip("transformers")
N = 24  # items of each task

LIMITS = {"wikitext": 2, "gsm8k": 6}


@pytest.fixture(scope="module")
def model(tmp_path_factory, data) -> Path:
    """A small model that knows nothing, as ours and as Transformers reads it."""
    folder = tmp_path_factory.mktemp("model")
    text = (data / "wikitext2" / "valid.txt").read_text()[:200_000]
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=600), [text])
    tokenizer.save(folder)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        n_layers=2,
        d_model=64,
        n_heads=4,
        n_kv_heads=2,
        context_length=512,
    )
    network = Transformer(config)
    dice = torch.Generator().manual_seed(1)
    with torch.no_grad():  # no zeros, and opinions strong enough to differ by
        for weights in network.parameters():
            weights.copy_(0.2 * torch.randn(weights.shape, generator=dice))
    save_model(network, folder)
    return folder


@pytest.fixture(scope="module")
def theirs(tmp_path_factory, data, model) -> dict[str, dict[str, dict[str, float]]]:
    """What lm-eval finds with its own backend, and with ours: backend -> task -> metrics."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    import lm_eval
    from lm_eval.tasks import TaskManager

    from hornbook.lm_eval_model import HornbookLM

    folder = tmp_path_factory.mktemp("tasks")
    os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
    write_tasks(folder, data, LIMITS, N)
    asked = f"pretrained={model},dtype=float32,softmax_dtype=float32,max_length=512"
    backends = {
        "hf": {"model": "hf", "model_args": asked, "device": "cpu", "batch_size": 4},
        "hornbook": {"model": HornbookLM(model=str(model), device="cpu")},
    }
    found = {}
    for backend, options in backends.items():
        results = lm_eval.simple_evaluate(
            tasks=[f"x_{name}" for name, *_ in TASKS.values()],
            num_fewshot=0,
            task_manager=TaskManager(include_path=str(folder)),
            bootstrap_iters=0,
            **options,
        )
        assert results
        found[backend] = {
            name.removeprefix("x_"): metrics
            | {"outputs": [s["resps"][0][0] for s in results["samples"][name]]}
            for name, metrics in results["results"].items()
        }
    return found


@pytest.mark.parametrize("path", TASKS)
def test_our_engine_under_lm_eval_gives_its_own_backends_numbers(theirs, path):
    name, _, _, metrics = TASKS[path]
    for metric in metrics.values():
        key = metric if "," in metric else f"{metric},none"
        expected, found = theirs["hf"][name][key], theirs["hornbook"][name][key]
        assert found == pytest.approx(expected, rel=1e-4), metric


@pytest.mark.parametrize("path", TASKS)
def test_our_benchmarks_give_its_numbers(
    theirs, model, data, tmp_path, path, monkeypatch
):
    name, _, _, metrics = TASKS[path]
    where = {"mmlu": "anatomy", "blimp": "adjunct_island"}.get(name.split("_")[0])
    task = load_task(name)
    if where:
        task = msgspec.structs.replace(task, where=f"file == '{where}'")
    if name.startswith("mmlu"):
        files = msgspec.structs.replace(task.files, test="mmlu/val/*_val.csv")
        task = msgspec.structs.replace(task, files=files)
    monkeypatch.setattr("hornbook.benchmarks.load_task", lambda _: task)
    from hornbook.model.huggingface import load_model

    engine = Engine(load_model(model), load_tokenizer(model))
    limit = LIMITS.get(name, N)
    results = run_benchmarks(engine, model, (name,), data, tmp_path, 0, limit)
    found = {result["metric"]: result["value"] for result in results}
    for ours, metric in metrics.items():
        key = metric if "," in metric else f"{metric},none"
        assert found[ours] == pytest.approx(theirs["hf"][name][key], rel=1e-4), ours


def test_what_is_written_is_the_same_letter_by_letter(theirs):
    """But where, after many tokens, rounding decides between two that are as likely."""
    found, expected = (theirs[b]["gsm8k"]["outputs"] for b in ("hornbook", "hf"))
    same = [a == b for a, b in zip(found, expected, strict=True)]
    assert sum(same) >= len(same) - 2
    assert [text[:40] for text in found] == [text[:40] for text in expected]
