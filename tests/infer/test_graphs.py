"""The step of fixed shape that a GPU records: padded, and still the model's own logits."""

import pytest
import torch
from shapes import SWITCHES, random_model, random_tokens, tiny

from hornbook.infer.decoder import Decoder
from hornbook.infer.graphs import GraphedStep
from hornbook.infer.kvcache import KVCache


@pytest.mark.parametrize("name", SWITCHES)
@torch.no_grad()
def test_padded_steps_give_the_models_logits(name):
    config = tiny(name)
    model, tokens = random_model(config), random_tokens(config, 3, 46)
    plain, padded = (Decoder(model, KVCache(config, 400)) for _ in range(2))
    padded.graphs = GraphedStep(model, padded.cache)
    rows = {}
    for decoder in (plain, padded):
        starts = [ids[:n].tolist() for ids, n in zip(tokens, (3, 17, 33), strict=True)]
        rows[decoder] = [decoder.open(ids) for ids in starts]
        for row, ids in zip(rows[decoder], starts, strict=True):
            decoder.read(row, ids)
    for t in range(33, 46):
        new = [[token] for token in tokens[:, t].tolist()]
        expected = plain.extend(rows[plain], new)
        for a, b in zip(padded.extend(rows[padded], new), expected, strict=True):
            torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)
    assert len(padded.graphs._graphs) == 1  # 4 rows, 4 pages: one shape for all of it
