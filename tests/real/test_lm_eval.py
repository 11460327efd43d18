"""The numbers of lm-evaluation-harness: its own Transformers backend, our engine under it,
and our benchmarks, on the same model and the same items of the real sets."""

import os
import sys
from pathlib import Path

import msgspec
import pytest

from hornbook.benchmarks import run_benchmarks
from hornbook.evaluate.examples import read_examples
from hornbook.evaluate.task import load_task
from hornbook.infer.engine import Engine
from hornbook.model.huggingface import load_model, save_model
from hornbook.tokenizer.base import load_tokenizer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.lm_eval_tasks import SUBJECT, TASKS, write_tasks

pytest.importorskip("lm_eval")
pytest.importorskip("transformers")
N = 24  # items of each task

LONGEST = 512  # tokens of context
LIMITS = {"wikitext": 2, "gsm8k": 6}
FEW = {  # task -> our metric -> theirs
    "mmlu": {"acc": "acc,none"},
    "mmlu_continuation": {"acc": "acc,none"},
    "gsm8k": {n: f"exact_match,{n}" for n in ("strict-match", "flexible-extract")},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory, data, opinionated) -> Path:
    """A small model that knows nothing, as ours and as Transformers reads it."""
    folder = tmp_path_factory.mktemp("model")
    text = (data / "wikitext2" / "valid.txt").read_text()[:200_000]
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=600), [text])
    tokenizer.save(folder)
    network = opinionated(  # strong enough to differ by
        tokenizer.vocab_size,
        strength=0.2,
        n_layers=2,
        d_model=64,
        n_heads=4,
        n_kv_heads=2,
        context_length=LONGEST,
    )
    save_model(network, folder)
    return folder


@pytest.fixture(scope="module")
def manager(tmp_path_factory, data):
    """lm-eval's tasks on local files."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    from lm_eval.tasks import TaskManager

    folder = tmp_path_factory.mktemp("tasks")
    os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
    write_tasks(folder, data, LIMITS, N)
    return TaskManager(include_path=str(folder))


Found = dict[str, dict[str, dict[str, float]]]  # backend -> task -> metrics


def ask(manager, model: Path, names: list[str], shots: int) -> Found:
    """What lm-eval finds with its own backend, and with ours."""
    import lm_eval

    from hornbook.lm_eval_model import HornbookLM

    asked = (
        f"pretrained={model},dtype=float32,softmax_dtype=float32,max_length={LONGEST}"
    )
    backends = {
        "hf": {"model": "hf", "model_args": asked, "device": "cpu", "batch_size": 4},
        "hornbook": {"model": HornbookLM(model=str(model), device="cpu")},
    }
    found = {}
    for backend, options in backends.items():
        results = lm_eval.simple_evaluate(
            tasks=[f"x_{name}" for name in names],
            num_fewshot=shots,
            task_manager=manager,
            samples={f"x_{name}": list(range(LIMITS.get(name, N))) for name in names},
            bootstrap_iters=0,
            **options,
        )
        assert results
        found[backend] = {
            name.removeprefix("x_"): metrics
            | {
                "outputs": [s["resps"][0][0] for s in results["samples"][name]],
                "prompts": [s["arguments"][0][0] for s in results["samples"][name]],
            }
            for name, metrics in results["results"].items()
        }
    return found


@pytest.fixture(scope="module")
def theirs(manager, model) -> Found:
    """Every task without worked examples."""
    return ask(manager, model, [name for name, *_ in TASKS.values()], 0)


@pytest.fixture(scope="module")
def theirs_after(manager, model) -> Found:
    """Tasks with three worked examples before each question."""
    return ask(manager, model, list(FEW), 3)


@pytest.mark.parametrize("path", TASKS)
def test_our_engine_under_lm_eval_gives_its_own_backends_numbers(theirs, path):
    name, _, _, metrics = TASKS[path]
    for metric in metrics.values():
        key = metric if "," in metric else f"{metric},none"
        expected, found = theirs["hf"][name][key], theirs["hornbook"][name][key]
        assert found == pytest.approx(expected, rel=1e-4), metric


def ours(model, data, out, name, shots, monkeypatch) -> tuple[dict[str, float], list]:
    """Our own benchmark: metrics, and what was asked."""
    where = {"mmlu": SUBJECT, "blimp": "adjunct_island"}.get(name.split("_")[0])
    task = load_task(name)
    if where:
        task = msgspec.structs.replace(task, where=f"file == '{where}'")
    if name.startswith("mmlu"):
        files = msgspec.structs.replace(task.files, test="mmlu/val/*_val.csv")
        task = msgspec.structs.replace(task, files=files)
    monkeypatch.setattr("hornbook.benchmarks.load_task", lambda _: task)
    limit = LIMITS.get(name, N)
    engine = Engine(load_model(model), load_tokenizer(model))
    results = run_benchmarks(engine, model, (name,), data, out, shots, limit)
    found = {result["metric"]: result["value"] for result in results}
    return found, read_examples(task, data, shots, limit)


@pytest.mark.parametrize("path", TASKS)
def test_our_benchmarks_give_its_numbers(
    theirs, model, data, tmp_path, path, monkeypatch
):
    name, _, _, metrics = TASKS[path]
    found, _ = ours(model, data, tmp_path, name, 0, monkeypatch)
    for mine, metric in metrics.items():
        key = metric if "," in metric else f"{metric},none"
        assert found[mine] == pytest.approx(theirs["hf"][name][key], rel=1e-4), mine


@pytest.mark.parametrize("name", FEW)
def test_worked_examples_make_the_same_prompts_and_numbers(
    theirs_after, model, data, tmp_path, name, monkeypatch
):
    """MMLU's in their order, GSM8K's drawn by its dice, the question itself left out."""
    found, asked = ours(model, data, tmp_path, name, 3, monkeypatch)
    prompts = theirs_after["hf"][name]["prompts"]  # once more for each of its filters
    assert [e.contexts[0] for e in asked] == prompts[: len(asked)]
    for mine, metric in FEW[name].items():
        for backend in ("hf", "hornbook"):
            expected = theirs_after[backend][name][metric]
            assert found[mine] == pytest.approx(expected, rel=1e-4), (mine, backend)


def test_what_is_written_is_the_same_letter_by_letter(theirs):
    """But where, after many tokens, rounding decides between two that are as likely."""
    found, expected = (theirs[b]["gsm8k"]["outputs"] for b in ("hornbook", "hf"))
    same = [a == b for a, b in zip(found, expected, strict=True)]
    assert sum(same) >= len(same) - 2
    assert [text[:40] for text in found] == [text[:40] for text in expected]
