"""Guessing ahead changes how fast a text is written and nothing else."""

import pytest
import torch
from bytes_tokenizer import BytesTokenizer
from shapes import random_model, tiny

from hornbook.infer.config import SamplingConfig
from hornbook.infer.cpu.compiled import CompiledStep
from hornbook.infer.engine import Engine
from hornbook.infer.speculate import ModelDrafter, NGramDrafter

NEVER = frozenset({999})
MODEL = random_model(tiny(vocab_size=270, context_length=64))
PROMPTS = [[1, 2, 3] * 5, [4], [9, 8] * 10, [100, 101, 102], [5] * 3]


class Oracle:
    """Knows the answers, and gets every third token wrong."""

    def __init__(self, answers):
        self.answers = answers

    def propose(self, sequence):
        place, answer = len(sequence.ids), self.answers[tuple(sequence.request.prompt)]
        guesses = answer[place : place + 4]
        return [t if n % 3 != 2 else (t + 1) % 256 for n, t in enumerate(guesses)]

    def forget(self, sequence):
        pass


def nearly_the_same_model():
    twin = random_model(tiny(vocab_size=270, context_length=64))
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return twin


def drafters():
    twin = nearly_the_same_model()
    return {
        "n-gram": NGramDrafter(),
        "the model itself": ModelDrafter(MODEL, 400, 3, CompiledStep(MODEL)),
        "a similar model": ModelDrafter(twin, 400, 5),
        "a model with too small a cache": ModelDrafter(twin, 32, 4),
    }


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("name", list(drafters()))
def test_the_text_is_the_same_token_for_token(name, temperature, compiled):
    sampling = SamplingConfig(
        temperature=temperature, max_tokens=55, top_p=0.95, frequency_penalty=0.1
    )
    plain = Engine(MODEL, BytesTokenizer(), 3, compiled)
    fast = Engine(MODEL, BytesTokenizer(), 3, compiled, drafter=drafters()[name])
    expected = plain.generate(PROMPTS, sampling, NEVER)
    assert fast.generate(PROMPTS, sampling, NEVER) == expected


def test_right_guesses_save_steps(monkeypatch):
    sampling = SamplingConfig(temperature=0, max_tokens=24)
    plain = Engine(MODEL, BytesTokenizer(), 3)
    expected = plain.generate(PROMPTS[:1], sampling, NEVER)
    answers = {tuple(PROMPTS[0]): expected[0].ids}
    fast = Engine(MODEL, BytesTokenizer(), 3, drafter=Oracle(answers))
    steps = []
    extend = type(fast._fresh_decoder()).extend

    def counting(self, rows, new):
        steps.append(new)
        return extend(self, rows, new)

    monkeypatch.setattr(type(fast._fresh_decoder()), "extend", counting)
    assert fast.generate(PROMPTS[:1], sampling, NEVER) == expected
    assert len(steps) <= 9  # of three guesses two are right: three tokens a step


def test_n_grams_guess_what_followed_last_time():
    class Text:
        def __init__(self, tokens):
            self.tokens = tokens

    guess = NGramDrafter(count=3, longest=2).propose
    assert guess(Text([1, 2, 3, 4, 5, 1, 2])) == [3, 4, 5]
    assert guess(Text([7, 2, 3, 1, 2, 9, 9, 9, 1, 2])) == [9, 9, 9]
    assert guess(Text([1, 2, 3])) == []
    assert guess(Text([1])) == []
