"""Many requests in one batch: each with its own settings, and none in another's way."""

import math

import msgspec
import pytest
import torch
from bytes_tokenizer import BytesTokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import random_model, tiny

from hornbook.core.errors import UserError
from hornbook.infer.adapters import Adapter
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine

GREEDY = SamplingConfig(temperature=0, max_tokens=12)
NEVER = frozenset({999})
MODEL = random_model(tiny(vocab_size=270, context_length=64))


def make_engine(**options) -> Engine:
    return Engine(MODEL, BytesTokenizer(), **{"max_rows": 3, **options})


PROMPTS = st.lists(
    st.lists(st.integers(0, 255), min_size=1, max_size=40), min_size=1, max_size=7
)
ALONE: dict[tuple, list[int]] = {}


def alone(prompt: list[int]) -> list[int]:
    key = tuple(prompt)
    if key not in ALONE:
        ALONE[key] = make_engine().generate([prompt], GREEDY, NEVER)[0].ids
    return ALONE[key]


@settings(max_examples=25, deadline=None)
@given(PROMPTS, st.integers(1, 5))
def test_at_temperature_zero_a_text_is_the_same_whatever_is_beside_it(prompts, rows):
    together = make_engine(max_rows=rows).generate(prompts, GREEDY, NEVER)
    assert [c.ids for c in together] == [alone(prompt) for prompt in prompts]


def test_each_request_has_its_own_settings():
    hot = SamplingConfig(temperature=1.0, top_k=20, seed=3, max_tokens=9)
    bent = SamplingConfig(temperature=0, max_tokens=9, repetition_penalty=1.8)
    each = [GREEDY, hot, bent, msgspec.structs.replace(hot, logit_bias={65: 100.0})]
    prompt = [1, 2, 3]
    together = make_engine().generate([prompt] * 4, each, NEVER)
    for number, sampling in enumerate(each):
        engine = make_engine()
        sequence = engine.sequence(prompt, sampling, NEVER, number)
        batch = engine.batch()
        batch.add(sequence)
        while batch.busy:
            batch.step()
        assert sequence.completion() == together[number]
    assert together[3].ids == [65] * 9
    assert together[2].ids != together[0].ids[:9]


def test_n_completions_of_each_prompt_come_in_order():
    sampling = SamplingConfig(temperature=1.0, max_tokens=8, n=3, seed=1)
    found = make_engine().generate([[1, 2], [3]], sampling, NEVER)
    assert len(found) == 6
    assert len({tuple(c.ids) for c in found}) == 6
    greedy = msgspec.structs.replace(GREEDY, n=2)
    found = make_engine().generate([[1, 2], [3]], greedy, NEVER)
    assert found[0] == found[1] != found[2] == found[3]


@pytest.mark.parametrize("temperature", [0.0, 1.3])
def test_logprobs_are_the_models_own(temperature):
    sampling = SamplingConfig(
        temperature=temperature, max_tokens=7, logprobs=4, presence_penalty=1.5
    )
    done = make_engine().generate([[9, 8, 7]], sampling, NEVER)[0]
    assert len(done.scores) == len(done.ids) == 7
    with torch.no_grad():
        logits = MODEL(torch.tensor([[9, 8, 7, *done.ids[:-1]]]))[0, 2:]
    expected = logits.log_softmax(-1)
    for token, score, row in zip(done.ids, done.scores, expected, strict=True):
        assert score.token == token
        assert score.logprob == pytest.approx(float(row[token]), abs=1e-4)
        top = row.topk(4)
        assert list(score.top) == top.indices.tolist()
        assert list(score.top.values()) == pytest.approx(top.values.tolist(), abs=1e-4)
    assert make_engine().generate([[1]], GREEDY)[0].scores is None


BAD = {
    "a prompt beyond the context": (list(range(65)), GREEDY, "65 tokens"),
    "an id outside the vocabulary": ([1, 270], GREEDY, "270"),
    "a negative id": ([-1], GREEDY, "-1"),
    "temperature": ([1], SamplingConfig(temperature=-1.0), "'temperature' is -1"),
    "temperature nan": ([1], SamplingConfig(temperature=math.nan), "'temperature'"),
    "top_p": ([1], SamplingConfig(top_p=1.5), "'top_p' is 1.5; it can be 0 to 1"),
    "min_p": ([1], SamplingConfig(min_p=-0.1), "'min_p'"),
    "top_k": ([1], SamplingConfig(top_k=-2), "'top_k'"),
    "n": ([1], SamplingConfig(n=0), "'n' is 0"),
    "max_tokens": ([1], SamplingConfig(max_tokens=0), "'max_tokens'"),
    "logprobs": ([1], SamplingConfig(logprobs=-1), "'logprobs'"),
    "repetition": ([1], SamplingConfig(repetition_penalty=0.0), "above 0"),
    "frequency": ([1], SamplingConfig(frequency_penalty=2.5), "-2 to 2"),
    "presence": ([1], SamplingConfig(presence_penalty=-3.0), "-2 to 2"),
    "bias": ([1], SamplingConfig(logit_bias={1: 101.0}), "-100 to 100"),
    "bias of nothing": ([1], SamplingConfig(logit_bias={270: 1.0}), "270"),
    "a schema without texts": ([1], SamplingConfig(schema={"enum": []}), "met"),
    "an endless schema": ([1], SamplingConfig(schema={"$ref": "#"}), "met"),
    "no schema": ([1], SamplingConfig(schema={"type": "text"}), "no type 'text'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_served_says_why_and_leaves_the_others_running(name):
    prompt, sampling, words = BAD[name]
    good = [1, 2, 3]
    engine = make_engine()
    first, bad, last = engine.generate(
        [good, prompt, good], [GREEDY, sampling, GREEDY], NEVER
    )
    assert first.ids == last.ids == alone(good)
    assert (bad.finish_reason, bad.ids, bad.text) == ("error", [], "")
    assert words in bad.error
    assert bad.error.count(". ") == 0
    assert bad.error.endswith(".")
    with pytest.raises(UserError):
        list(engine.stream(prompt, sampling))


def test_an_empty_prompt_needs_a_token_to_start_from():
    tokenizer = BytesTokenizer()
    del tokenizer.special["<|endoftext|>"]
    engine = Engine(MODEL, tokenizer)
    empty, good = engine.generate([[], [1, 2, 3]], GREEDY, NEVER)
    assert "empty" in empty.error
    assert good.ids == alone([1, 2, 3])


def test_a_cache_too_small_for_all_makes_them_wait_and_changes_nothing():
    prompts = [[n, n + 1, n + 2] * 6 for n in range(6)]
    sampling = SamplingConfig(temperature=0, max_tokens=30)
    roomy = make_engine(max_rows=4).generate(prompts, sampling, NEVER)
    for tokens in (64, 80, 112, 160):
        tight = make_engine(max_rows=4, tokens=tokens)
        assert tight.generate(prompts, sampling, NEVER) == roomy


def test_a_cache_too_small_for_one_sequence_ends_it_with_a_sentence():
    engine = make_engine(tokens=32)
    done = engine.generate([[1] * 40, [1, 2, 3]], GREEDY, NEVER)
    assert "cache holds 32 tokens" in done[0].error
    assert done[1].ids == alone([1, 2, 3])
    longer = SamplingConfig(temperature=0, max_tokens=60)
    done = engine.generate([[1] * 20], longer, NEVER)
    assert "cache holds 32 tokens" in done[0].error


def test_memory_that_cannot_be_had_is_one_sentence():
    engine = make_engine(tokens=10**14)
    with pytest.raises(
        UserError, match=r"no memory for a cache of 100,000,000,000,000"
    ):
        engine.generate([[1]], GREEDY)


def test_requests_join_and_leave_a_running_batch():
    engine = make_engine()
    batch = engine.batch()
    first = engine.sequence([1, 2, 3], GREEDY, NEVER)
    cancelled = engine.sequence([4, 5], GREEDY, NEVER)
    late = engine.sequence([6] * 30, GREEDY, NEVER)
    batch.add(first)
    batch.add(cancelled)
    for _ in range(4):
        batch.step()
    batch.cancel(cancelled)
    batch.add(late)
    while batch.busy:
        batch.step()
    assert first.ids == alone([1, 2, 3])
    assert late.ids == alone([6] * 30)
    assert len(cancelled.ids) < 12
    pages = engine._decoder.cache.pages
    assert pages.room() == pages.count  # nobody holds any


def test_a_long_prompt_is_read_in_chunks_while_others_write(monkeypatch):
    monkeypatch.setattr("hornbook.infer.decoder.CHUNK", 16)
    engine = make_engine()
    batch = engine.batch()
    short = engine.sequence([1, 2, 3], GREEDY, NEVER)
    long = engine.sequence([7] * 60, GREEDY, NEVER)
    batch.add(short)
    batch.step()
    batch.add(long)
    written = []
    while not long.ids:
        batch.step()
        written.append(len(short.ids))
    assert written == [2, 3, 4, 5]
    while batch.busy:
        batch.step()
    assert long.ids == alone([7] * 60)


def adapter(seed: int) -> Adapter:
    generator = torch.Generator().manual_seed(seed)

    def pair(outputs, inputs):
        return tuple(
            torch.randn(shape, generator=generator)
            for shape in ((4, inputs), (outputs, 4))
        )

    return Adapter(
        "test",
        {
            "blocks.0.attention.query": pair(32, 32),
            "blocks.1.feed_forward.down": pair(32, 48),
        },
    )


def test_an_adapter_answers_like_the_model_it_would_make_of_the_base():
    change, prompt = adapter(0), [5, 6, 7]
    merged = random_model(tiny(vocab_size=270, context_length=64))
    with torch.no_grad():
        for name, (down, up) in change.matrices.items():
            merged.get_parameter(f"{name}.weight").add_(up @ down)
    expected = Engine(merged, BytesTokenizer()).generate([prompt], GREEDY, NEVER)
    engine = make_engine()
    base = engine.generate([prompt], GREEDY, NEVER)
    batch = engine.batch()
    sequences = [
        engine.sequence(prompt, GREEDY, NEVER, adapter=some)
        for some in (None, change, adapter(1), change)
    ]
    for sequence in sequences:
        batch.add(sequence)
    while batch.busy:
        batch.step()
    assert [s.ids for s in sequences][:2] == [base[0].ids, expected[0].ids]
    assert sequences[3].ids == expected[0].ids
    assert sequences[2].ids != expected[0].ids != base[0].ids
    assert engine.generate([prompt], GREEDY, NEVER) == base


def test_an_adapter_of_another_model_is_refused():
    strange = Adapter("x", {"blocks.9.attention.query": (torch.ones(1, 2),) * 2})
    done = make_engine().generate([[1]], GREEDY, adapter=strange)
    assert "made for another one" in done[0].error
