"""The engine: equal to the naive full forward pass, whatever is in the batch."""

import pytest
import torch
from bytes_tokenizer import BytesTokenizer
from shapes import SWITCHES, random_model, tiny

from hornbook.infer.config import SamplingConfig
from hornbook.infer.decoder import Decoder
from hornbook.infer.engine import Engine
from hornbook.infer.score import windows

GREEDY = SamplingConfig(temperature=0, max_tokens=20)
NEVER = frozenset({999})
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11, 12], [13, 14], [200, 201, 202, 203]]


def make_engine(name="default", max_rows=3, compiled=True, **changes) -> Engine:
    model = random_model(tiny(name, **({"vocab_size": 270} | changes)))
    return Engine(model, BytesTokenizer(), max_rows, compiled)


@torch.no_grad()
def naive(engine: Engine, prompt: list[int], n: int) -> list[int]:
    """Greedy decoding by one full forward pass per token; slides like the decoder says."""
    context, seen, result = engine.model.config.context_length, list(prompt), []
    allowed = [
        i for i in range(270) if i < 256 or i in (256, 259)
    ]  # bytes, end of text, end of turn
    for _ in range(n):
        if len(seen) > context:
            seen = seen[-(context - context // 4) :]
        logits = engine.model(torch.tensor([seen]))[0, -1]
        result.append(allowed[int(logits[allowed].argmax())])
        seen.append(result[-1])
    return result


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", SWITCHES)
def test_greedy_decoding_equals_the_full_forward_pass(name, compiled):
    engine = make_engine(name, compiled=compiled)
    if compiled and not engine.compiled:
        pytest.skip("this architecture has no compiled step")
    sampling = SamplingConfig(temperature=0, max_tokens=9)
    together = engine.generate(PROMPTS, sampling, NEVER)
    for prompt, completion in zip(PROMPTS, together, strict=True):
        assert completion.ids == naive(engine, prompt, 9)
        assert completion.finish_reason == "length"
    assert engine.generate(PROMPTS[2:3], sampling, NEVER) == together[2:3]


@pytest.mark.parametrize("max_rows", [1, 3])
def test_past_the_context_the_oldest_tokens_are_forgotten(max_rows):
    engine = make_engine(max_rows=max_rows, context_length=16)
    sampling = SamplingConfig(temperature=0, max_tokens=60)
    prompts = [[1, 2], list(range(12)), list(range(16)), list(range(15))]
    for prompt, completion in zip(
        prompts, engine.generate(prompts, sampling, NEVER), strict=True
    ):
        assert completion.ids == naive(engine, prompt, 60)


def test_the_same_seed_gives_the_same_text_whatever_is_beside_it():
    engine = make_engine()
    sampling = SamplingConfig(temperature=1.0, top_p=0.95, max_tokens=15, seed=5)
    one = engine.generate([PROMPTS[0]], sampling)[0]
    assert engine.generate(PROMPTS, sampling)[0] == one
    assert make_engine().generate([PROMPTS[0]], sampling)[0] == one
    other = SamplingConfig(temperature=1.0, top_p=0.95, max_tokens=15, seed=6)
    assert engine.generate([PROMPTS[0]], other)[0] != one
    same_prompt = engine.generate([PROMPTS[0]] * 4, sampling)
    assert len({tuple(c.ids) for c in same_prompt}) == 4


def test_streamed_pieces_join_to_the_generated_text():
    engine = make_engine()
    for seed in range(6):
        sampling = SamplingConfig(
            temperature=1.0, max_tokens=30, seed=seed, stop=("a", "\x05\x06")
        )
        pieces = list(engine.stream(PROMPTS[2], sampling))
        assert "" not in pieces
        assert "".join(pieces) == engine.generate([PROMPTS[2]], sampling)[0].text


def test_two_streams_at_once_do_not_disturb_each_other():
    engine = make_engine()
    sampling = SamplingConfig(temperature=0, max_tokens=12)
    expected = [engine.generate([p], sampling)[0].text for p in PROMPTS[:2]]
    streams = [engine.stream(p, sampling) for p in PROMPTS[:2]]
    written = ["", ""]
    for _ in range(40):
        for n, stream in enumerate(streams):
            written[n] += next(stream, "")
    assert written == expected


def test_a_chat_that_goes_on_is_read_only_where_it_is_new(monkeypatch):
    engine = make_engine()
    sampling = SamplingConfig(temperature=0, max_tokens=4)
    first = engine.generate([PROMPTS[2]], sampling)[0]
    fresh = make_engine()
    longer = [*PROMPTS[2], *first.ids, 77, 78]
    expected = fresh.generate([longer], sampling)
    read = count_reads(monkeypatch)
    assert engine.generate([longer], sampling) == expected
    # The last token of the first answer was chosen but never read.
    assert read[0] == 3


def test_a_beginning_read_for_one_request_is_known_to_all(monkeypatch):
    engine = make_engine(max_rows=4, context_length=96)
    system = list(range(100, 140))  # two and a half pages
    prompts = [[*system, n, n + 1] for n in range(4)]
    expected = [
        make_engine(context_length=96).generate([p], GREEDY)[0] for p in prompts
    ]
    read = count_reads(monkeypatch)
    assert engine.generate(prompts, GREEDY) == expected
    prompt_reads = [n for n in read if n > 1]
    assert prompt_reads == [42, 2, 2, 2]


def count_reads(monkeypatch) -> list[int]:
    """How many new tokens each forward pass of any decoder reads, from now on."""
    read = []
    forward = Decoder._forward

    def counting(self, rows, new):
        read.append(max(len(ids) for ids in new))
        return forward(self, rows, new)

    monkeypatch.setattr(Decoder, "_forward", counting)
    return read


def test_stop_ids_end_a_sequence_and_are_not_part_of_it():
    engine = make_engine()
    free = engine.generate([PROMPTS[0]], GREEDY, NEVER)[0].ids
    place = next(i for i in range(3, 20) if free[i] not in free[:i])
    stopped = engine.generate([PROMPTS[0]], GREEDY, frozenset({free[place]}))[0]
    assert stopped.ids == free[:place]
    assert stopped.finish_reason == "stop"


def test_tokens_no_answer_holds_are_never_chosen():
    engine = make_engine()
    with torch.no_grad():
        engine.model.head.weight[[257, 258, *range(260, 270)]] = 0.0
        engine.model.embedding.weight.fill_(1.0)
        engine.model.head.weight.sub_(engine.model.norm.weight)  # these now win
        engine.model.head.weight[[257, 258, *range(260, 270)]] += (
            2 * engine.model.norm.weight
        )
    logits = engine.model(torch.tensor([[1]]))[0, -1]
    assert int(logits.argmax()) in {257, 258, *range(260, 270)}
    hot = SamplingConfig(temperature=3.0, max_tokens=200)
    chosen = engine.generate([[1]], hot, NEVER)[0].ids
    assert len(chosen) == 200
    assert all(i < 256 or i in (256, 259) for i in chosen)


def test_an_empty_prompt_starts_from_the_end_of_a_text():
    engine = make_engine()
    assert engine.generate([[]], GREEDY) == engine.generate([[256]], GREEDY)
    assert engine.generate([], GREEDY) == []


@pytest.mark.parametrize("name", SWITCHES)
@torch.no_grad()
def test_scores_equal_the_full_forward_pass_at_any_batch_size(name):
    engine = make_engine(name)
    generator = torch.Generator().manual_seed(2)
    sequences = [
        torch.randint(260, (n,), generator=generator).tolist()
        for n in (5, 49, 1, 0, 20, 2, 33)
    ]
    together = engine.score(sequences)
    for ids, scores in zip(sequences, together, strict=True):
        assert scores == pytest.approx(engine.score([ids])[0], abs=1e-5)
        assert len(scores) == max(0, len(ids) - 1)
        if len(ids) > 1:
            shares = engine.model(torch.tensor([ids[:-1]]))[0].log_softmax(-1)
            expected = [shares[i, t].item() for i, t in enumerate(ids[1:])]
            assert scores == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("length", [0, 1, 2, 8, 9, 10, 25, 26, 100])
@pytest.mark.parametrize("context", [1, 2, 5, 8])
def test_windows_predict_every_token_once_from_enough(length, context):
    predicted = []
    for start, end, first in windows(length, context):
        assert end - start - 1 <= context
        assert first == 0 or first >= context // 2
        predicted += range(start + 1 + first, end)
    assert predicted == list(range(1, length))


@torch.no_grad()
def test_a_text_longer_than_the_context_is_scored_to_its_end():
    engine = make_engine(context_length=8)
    ids = list(range(30, 60))
    scores = engine.score([ids])[0]
    assert len(scores) == 29
    shares = engine.model(torch.tensor([ids[:8]]))[0].log_softmax(-1)
    assert scores[7] == pytest.approx(shares[7, ids[8]].item(), abs=1e-5)
    for start, end, first in windows(30, 8):
        shares = engine.model(torch.tensor([ids[start : end - 1]]))[0].log_softmax(-1)
        for place in range(first, end - start - 1):
            expected = shares[place, ids[start + place + 1]].item()
            assert scores[start + place] == pytest.approx(expected, abs=1e-5)
