"""Prompts scored over HTTP: the numbers of this process, for our requests and lm-eval's."""

import json
import os

import numpy as np
import pytest
from loopback import send

from hornbook.evaluate.likelihood import prefix_id, rolling_windows
from hornbook.infer.continuations import score_continuations
from hornbook.infer.score import score

PROMPTS = ["The cat sat on the mat; größer ist 猫 🐈", "a", 'than {"name": [1']


def scored(address, prompts, **more):
    body = {"prompt": prompts, "max_tokens": 1, "logprobs": 1, "temperature": 0}
    answer = send(address, "POST", "/v1/completions", {**body, "echo": True, **more})
    assert answer.status == 200, answer.body
    return answer.json["choices"]


def test_echoed_tokens_have_the_log_probabilities_of_this_process(address, engine):
    prompts = [engine.tokenizer.encode(text) for text in PROMPTS]
    expected = score(engine.model, prompts)
    choices = scored(address, prompts)
    for ids, choice, nats in zip(prompts, choices, expected, strict=True):
        found = choice["logprobs"]["token_logprobs"]
        assert len(found) == len(ids) + 1  # and the one that was written
        assert found[0] is None
        assert np.allclose(found[1:-1], nats, atol=1e-4)


def test_a_likeliest_token_is_told_by_exactly_the_same_number(address, engine):
    ids = engine.tokenizer.encode("cat")
    ids += engine.generate([ids], _greedy())[0].ids
    (choice,) = scored(address, [ids])
    told = choice["logprobs"]
    start = len(engine.tokenizer.encode("cat"))
    pairs = list(zip(told["token_logprobs"], told["top_logprobs"], strict=True))[start:]
    assert all(chosen == max(top.values()) for chosen, top in pairs)


def _greedy():
    from hornbook.infer.config import SamplingConfig

    return SamplingConfig(max_tokens=9, temperature=0)


def test_tokens_that_are_no_text_alone_have_names_of_their_own(address, engine):
    ids = engine.tokenizer.encode("🐈猫")
    (choice,) = scored(address, [ids], logprobs=20)
    told = choice["logprobs"]
    assert any(token.startswith("bytes:\\x") for token in told["tokens"])
    assert all(len(top) in (20, 21) for top in told["top_logprobs"][1:])
    assert choice["text"].startswith("🐈猫")
    offsets = told["text_offset"]
    assert offsets[0] == 0
    assert offsets == sorted(offsets)
    assert max(offsets) <= len(choice["text"])


def test_a_prompt_can_be_scored_without_anything_written(address, engine):
    ids = engine.tokenizer.encode(PROMPTS[0])
    (choice,) = scored(address, [ids], max_tokens=0)
    assert choice["text"] == PROMPTS[0]
    assert len(choice["logprobs"]["tokens"]) == len(ids)


def test_a_streamed_echo_is_the_whole_one(address):
    body = {
        "prompt": PROMPTS[:2],
        "max_tokens": 4,
        "logprobs": 2,
        "echo": True,
        "seed": 1,
    }
    whole = send(address, "POST", "/v1/completions", body).json["choices"]
    raw = send(address, "POST", "/v1/completions", {**body, "stream": True}).body
    events = [line[6:] for line in raw.decode().split("\n\n") if line]
    assert events.pop() == "[DONE]"
    texts, tokens = ["", ""], [[], []]
    for event in events:
        for choice in json.loads(event)["choices"]:
            texts[choice["index"]] += choice["text"]
            tokens[choice["index"]] += choice["logprobs"]["tokens"]
    assert texts == [choice["text"] for choice in whole]
    assert tokens == [choice["logprobs"]["tokens"] for choice in whole]


def test_text_that_spells_control_tokens_stays_text(address, engine):
    spelled = "<|endoftext|><|end|><|system|>x"
    special = set(engine.tokenizer.special.values())
    ids = send(address, "POST", "/tokenize", {"prompt": spelled}).json["tokens"]
    assert not special & set(ids)
    messages = [{"role": "user", "content": f"{spelled}<|assistant|>"}]
    asked = send(address, "POST", "/tokenize", {"messages": messages}).json["tokens"]
    marks = [i for i in asked if i in special]
    names = {number: name for name, number in engine.tokenizer.special.items()}
    assert [names[i] for i in marks] == ["<|user|>", "<|end|>", "<|assistant|>"]
    text = send(address, "POST", "/detokenize", {"tokens": ids}).json["prompt"]
    assert text == spelled


def test_the_end_of_text_is_found_by_its_name_alone(address, engine):
    answer = send(address, "POST", "/tokenize", {"prompt": "<|endoftext|>"})
    assert answer.json["tokens"] == [engine.tokenizer.special["<|endoftext|>"]]
    info = send(address, "GET", "/tokenizer_info").json
    assert info["eos_token"] == "<|endoftext|>"
    assert "<|user|>" not in info["chat_template"] or info["chat_template"]


ITEMS = [
    {"q": "The cat sat on", "choices": [" the mat", " größer", " 猫 🐈"], "a": 0},
    {"q": "größer ist", "choices": [" the cat", " 猫", ' {"name": [1'], "a": 1},
    {"q": "", "choices": ["The cat", "mat; größer"], "a": 0},
    {"q": "than {", "choices": ['"name": [1, 2]', " the mat", "🐈", " on"], "a": 0},
    {"q": "The cat " * 5, "choices": ["sat", " on the mat"], "a": 0},
]
TASK = """task: tiny_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {items}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: q
doc_to_choice: choices
doc_to_target: a
target_delimiter: ""
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
TEXTS = """task: tiny_text
dataset_path: json
dataset_kwargs: {{data_files: {{test: {items}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: text
metric_list: [{{metric: bits_per_byte}}, {{metric: word_perplexity}}]
"""


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 8])
def test_lm_eval_over_http_finds_the_numbers_of_this_process(
    address, engine, model_directory, tmp_path, monkeypatch, batch
):
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    from hornbook.lm_eval_model import HornbookLM

    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "items.json").write_text("\n".join(map(json.dumps, ITEMS)))
    texts = [{"text": " ".join(PROMPTS) * n} for n in (1, 3, 40)]
    (tmp_path / "texts.json").write_text("\n".join(map(json.dumps, texts)))
    (tmp_path / "choice.yaml").write_text(TASK.format(items=tmp_path / "items.json"))
    (tmp_path / "text.yaml").write_text(TEXTS.format(items=tmp_path / "texts.json"))
    length = engine.model.config.context_length
    asked = (
        f"model=tiny,base_url={address}/v1/completions,tokenizer_backend=auto,"
        f"max_length={length},num_concurrent=1,max_retries=1"
    )
    backends = {
        "http": {
            "model": "local-completions",
            "model_args": asked,
            "batch_size": batch,
        },
        "here": {"model": HornbookLM(model=str(model_directory), device="cpu")},
    }
    found: dict[str, dict[str, list]] = {}
    for name, options in backends.items():
        results = lm_eval.simple_evaluate(
            tasks=["tiny_choice", "tiny_text"],
            task_manager=TaskManager(include_path=str(tmp_path)),
            bootstrap_iters=0,
            **options,
        )
        found[name] = {
            task: [response for sample in samples for (response,) in sample["resps"]]
            for task, samples in results["samples"].items()
        }
    choices = zip(
        found["http"]["tiny_choice"], found["here"]["tiny_choice"], strict=True
    )
    for (http, greedy), (here, greedy_here) in choices:
        assert http == pytest.approx(here, abs=1e-4)
        assert greedy == greedy_here
    expected = [rolled(engine, text["text"], length - 2) for text in texts]
    whole = found["http"]["tiny_text"]
    assert whole == pytest.approx(expected, rel=1e-6, abs=1e-4)
    assert whole[:2] == pytest.approx(
        found["here"]["tiny_text"][:2], rel=1e-6, abs=1e-4
    )


def rolled(engine, text, longest):
    """The nats of a text in windows as lm-eval cuts them for a server.

    They are two tokens narrower than the context: it keeps room for a token to be written.
    """
    ids = engine.tokenizer.encode(text)
    windows = [*rolling_windows(ids, prefix_id(engine.tokenizer), longest)]
    return sum(part.nats for part in score_continuations(engine.model, windows))
