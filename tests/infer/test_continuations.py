"""Continuations scored from shared beginnings: the same as one by one, whatever is asked."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import SWITCHES, random_model, tiny

from hornbook.infer import continuations as module
from hornbook.infer.continuations import score_continuations

IDS = st.integers(1, 60)


@torch.no_grad()
def naive(model, context, continuation):
    """One full forward pass over the newest tokens that fit."""
    ids = (context + continuation)[-(model.config.context_length + 1) :]
    nats = model(torch.tensor([ids[:-1]]))[0].log_softmax(-1)
    count = min(len(continuation), model.config.context_length)
    wanted = torch.tensor(ids[-count:])
    chosen = nats[-count:].gather(1, wanted[:, None]).sum()
    return float(chosen), bool((nats[-count:].argmax(-1) == wanted).all())


def check(model, requests):
    found = score_continuations(model, requests)
    assert len(found) == len(requests)
    for request, likelihood in zip(requests, found, strict=True):
        nats, greedy = naive(model, *request)
        assert likelihood.nats == pytest.approx(nats, abs=1e-4)
        assert likelihood.is_greedy == greedy


@pytest.mark.parametrize("name", SWITCHES)
def test_every_architecture_scores_as_one_by_one(name):
    model = random_model(tiny(name, vocab_size=64, context_length=48))
    shots = [i % 59 + 1 for i in range(34)]
    requests = [
        ([*shots, n, n + 1, 3], choice)
        for n in range(5)
        for choice in ([7], [7, 8], [n, 4, 5, 6])
    ]
    check(model, [*requests, ([9], [1, 2, 3]), ([9, 8], [2])])


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.lists(IDS, min_size=1, max_size=50),
            st.lists(IDS, min_size=1, max_size=9),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_requests_score_as_one_by_one(requests):
    check(random_model(tiny("default", vocab_size=64, context_length=32)), requests)


def test_order_and_company_change_nothing(monkeypatch):
    model = random_model(tiny("default", vocab_size=64, context_length=64))
    shots = list(range(1, 41))
    requests = [([*shots, n], [n, n + 1, c]) for n in range(1, 9) for c in (1, 2)]
    together = score_continuations(model, requests)
    backward = score_continuations(model, requests[::-1])[::-1]
    alone = [score_continuations(model, [request])[0] for request in requests]
    monkeypatch.setattr(module, "AT_ONCE", 12)
    few = score_continuations(model, requests)
    for found in (backward, alone, few):
        for a, b in zip(found, together, strict=True):
            assert a.nats == pytest.approx(b.nats, abs=1e-5)
            assert a.is_greedy == b.is_greedy


def test_what_is_shared_is_read_once(monkeypatch):
    model = random_model(tiny("default", vocab_size=64, context_length=64))
    read = []
    hidden = model.hidden
    monkeypatch.setattr(
        model,
        "hidden",
        lambda tokens, **k: read.append(tokens.numel()) or hidden(tokens, **k),
    )
    shots = list(range(1, 51))
    score_continuations(
        model, [([*shots, n], [c, 5]) for n in (1, 2, 3) for c in (1, 2)]
    )
    assert sum(read) <= 50 + 3 + 6


def test_the_greedy_continuation_is_known_as_such():
    model = random_model(tiny("default", vocab_size=64, context_length=64))
    context = [5, 6, 7]
    greedy = []
    for _ in range(4):
        greedy.append(int(model(torch.tensor([context + greedy]))[0, -1].argmax()))
    other = [*greedy[:-1], (greedy[-1] + 1) % 64]
    found = score_continuations(model, [(context, greedy), (context, other)])
    assert [f.is_greedy for f in found] == [True, False]


def test_an_empty_request_is_refused():
    model = random_model(tiny("default", vocab_size=64))
    for request in (([], [1]), ([1], [])):
        with pytest.raises(ValueError, match="at least one"):
            score_continuations(model, [request])
