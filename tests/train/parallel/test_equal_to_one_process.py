"""Every way to share a training out gives the losses and gradients of one process."""

import msgspec
import pytest
import torch

from tests.train.parallel import cases
from tests.train.parallel.spawn import spawn

MICRO = msgspec.structs.replace(cases.TRAIN, micro_batch=2)
Z = msgspec.structs.replace(MICRO, z_loss=1e-3, logit_chunk=7)
WIDE = msgspec.structs.replace(cases.MODEL, n_layers=4, tied=False)

# name -> axes, model, training, packed documents
TWO = {
    "data": ({"data": 2}, cases.MODEL, cases.TRAIN, False),
    "shard": ({"shard": 2}, cases.MODEL, Z, True),
    "tensor": ({"tensor": 2}, cases.MODEL, cases.TRAIN, True),
    "context": ({"context": 2}, cases.MODEL, cases.TRAIN, True),
    "gpipe": ({"pipeline": 2, "schedule": "gpipe"}, cases.MODEL, MICRO, True),
    "1f1b": ({"pipeline": 2}, cases.MODEL, Z, False),
    "interleaved": (
        {"pipeline": 2, "schedule": "interleaved"},
        cases.MODEL,
        MICRO,
        False,
    ),
    "expert": ({"expert": 2}, cases.EXPERTS, cases.TRAIN, False),
}


SINGLE = (cases.MODEL, cases.TRAIN, 2, False, torch.float32)


def _run(rank, all_cases):
    from hornbook.train.parallel.ranks import Ranks

    found = {}
    for name, (axes, model, train, packed) in all_cases.items():
        ranks = Ranks(cases.parallel(**axes), torch.device("cpu"))
        found[name] = cases.run(ranks, model, train, packed=packed)
    if len(all_cases) == len(TWO):
        ranks = Ranks(cases.parallel(shard=2), torch.device("cpu"))
        found["float32"] = cases.run(ranks, *SINGLE)
    return found


@pytest.fixture(scope="module")
def two():
    return spawn(_run, 2, TWO)


@pytest.mark.parametrize("name", TWO)
def test_two_ranks_give_the_losses_and_gradients_of_one(two, name):
    _compare([rank[name] for rank in two], *TWO[name][1:])


def test_in_float32_where_a_processor_has_kernels_of_its_own_it_is_near(two):
    alone = cases.run(None, *SINGLE)
    for rank in two:
        assert rank["float32"]["losses"] == pytest.approx(alone["losses"], rel=1e-4)


def _compare(ranks, model, train, packed):
    alone = cases.run(None, model, train, packed=packed)
    seen = set()
    for rank in ranks:
        assert rank["losses"] == pytest.approx(alone["losses"], rel=1e-9)
        assert rank["norms"] == pytest.approx(alone["norms"], rel=1e-9)
        for name, gradient in rank["gradients"].items():
            torch.testing.assert_close(gradient, alone["gradients"][name])
            seen.add(name)
    assert seen == set(alone["gradients"])
    assert alone["losses"][-1] < alone["losses"][0] - 0.3  # it did learn


MUON = msgspec.structs.replace(cases.TRAIN, optimizer="muon")
FOUR = {
    "copies of shards": ({"data": 2, "shard": 2}, cases.MODEL, cases.TRAIN, True),
    "shards of matrices, under Muon": (
        {"shard": 2, "tensor": 2},
        cases.MODEL,
        MUON,
        False,
    ),
    "a pipeline of shards": ({"pipeline": 2, "shard": 2}, cases.MODEL, MICRO, True),
    "a context of matrices": (
        {"context": 2, "tensor": 2},
        cases.MODEL,
        cases.TRAIN,
        True,
    ),
    "shards of experts": ({"expert": 2, "shard": 2}, cases.EXPERTS, MICRO, False),
}


@pytest.fixture(scope="module")
def four():
    return spawn(_run, 4, FOUR)


@pytest.mark.parametrize("name", FOUR)
def test_combinations_on_four_ranks_give_the_losses_and_gradients_of_one(four, name):
    _compare([rank[name] for rank in four], *FOUR[name][1:])
