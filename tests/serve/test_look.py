"""What the page is told of runs and models: each number held against another way to it."""

import base64
from pathlib import Path

import numpy as np
import pytest
import torch
from loopback import send

from hornbook.core.errors import UserError
from hornbook.data.shards import Shards
from hornbook.model.attention import attend_plainly
from hornbook.serve.look.microscope import attention_weights, look
from hornbook.serve.look.nearest import nearest
from hornbook.serve.look.runs import Runs, run_of

TEXT = "The cat sat on the mat; größer ist 猫"


def test_attention_weights_are_those_the_layer_mixes_its_values_with(
    engine, monkeypatch
):
    from hornbook.model import attention

    ids = engine.tokenizer.encode(TEXT)
    seen = []

    def spy(query, key, value, mask, cap=0.0):
        mixed = attend_plainly(query, key, value, mask, cap)
        seen.append((value, mixed))
        return mixed

    for layer in range(2):
        weights = attention_weights(engine.model, ids, layer)
        assert torch.allclose(weights.sum(-1), torch.ones(weights.shape[:2]), atol=1e-5)
        assert (weights.triu(1) == 0).all()
        seen.clear()
        with monkeypatch.context() as patch, torch.inference_mode():
            patch.setattr(attention, "attend", spy)
            engine.model.hidden(torch.tensor([ids]))
        value, mixed = seen[layer]
        value = value.repeat_interleave(2, dim=1)[0]
        assert torch.allclose(weights @ value, mixed[0], atol=1e-5)


def test_the_last_layer_of_the_lens_says_what_the_model_says(engine):
    found = look(engine, TEXT)
    ids = engine.tokenizer.encode(TEXT)
    with torch.inference_mode():
        logits = engine.model(torch.tensor([ids]))[0]
    shares, best = logits.softmax(-1).max(-1)
    last = found["lens"][-1]
    assert last["shares"] == pytest.approx(shares.tolist(), abs=1e-4)
    assert last["tokens"] == [n["tokens"][0] for n in found["next"]]
    assert len(found["lens"]) == 2
    assert best.shape[0] == len(found["tokens"])
    known = engine.score([ids])[0]
    assert np.log(found["shares"][1:]) == pytest.approx(known, abs=0.6)


def test_looking_leaves_no_hook_behind(engine):
    look(engine, TEXT)
    attention_weights(engine.model, engine.tokenizer.encode(TEXT), 0)
    assert not any(m._forward_hooks for m in engine.model.modules())


@pytest.fixture(scope="module")
def shards(tmp_path_factory, engine) -> Path:
    from hornbook.data.documents import Document, write_documents
    from hornbook.data.shards import write_shards

    folder = tmp_path_factory.mktemp("documents")
    texts = ["The mat and the cat. " * 5, TEXT, 'than {"name": [1, 2]} ' * 4]
    documents = [Document(f"{n:032x}", "s", f"{n}.txt", t) for n, t in enumerate(texts)]
    write_documents(documents, folder)
    out = tmp_path_factory.mktemp("shards")
    write_shards(folder, engine.tokenizer, out)
    return out


def test_a_text_of_the_shards_is_found_where_it_stands(shards, engine):
    ids = engine.tokenizer.encode(TEXT)
    found = nearest(shards, engine.tokenizer, ids)
    best = found["places"][0]
    assert best["score"] == 1.0
    assert best["text"] == TEXT
    assert best["document"] == f"{1:032x}"
    opened = Shards.open(shards)
    assert opened.read(best["token"], len(ids)).tolist() == ids
    assert found["searched"] == opened.tokens


@pytest.mark.parametrize("text", ["", "a", "猫", "zzzzqqqq"])
def test_any_text_can_be_looked_for(shards, engine, text):
    found = nearest(shards, engine.tokenizer, engine.tokenizer.encode(text))
    assert all(0 < place["score"] <= 1 for place in found["places"])


@pytest.fixture
def runs(tmp_path) -> Runs:
    """Two runs side by side, one of them under way."""
    for name in ("done", "going"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.toml").write_text("")
    (tmp_path / "secret").mkdir()
    stage = tmp_path / "done" / "pretrain"
    stage.mkdir()
    (stage / "manifest.json").write_text('{"seconds": 3.5}')
    (tmp_path / "going" / "pretrain.partial").mkdir()
    return Runs([tmp_path / "done"], ("pretrain", "sft"))


def test_runs_beside_the_served_one_are_seen_with_their_stages(runs):
    overview = {run["name"]: run["stages"] for run in runs.overview()}
    assert list(overview) == ["done", "going"]
    assert overview["done"][0]["state"] == "done"
    assert overview["going"][0]["state"] == "under way"


@pytest.mark.parametrize("name", ["secret", "..", "../x", "done/pretrain", ""])
def test_no_other_folder_can_be_named(runs, name):
    with pytest.raises(UserError):
        runs.folder(name)
    with pytest.raises(UserError):
        runs.diary("done", f"../{name}", 0)


def test_a_diary_is_read_on_from_where_it_was_left(runs, tmp_path):
    path = tmp_path / "going" / "pretrain.partial" / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 5.0}\n{"step": 2, "lo')
    first = runs.diary("going", "pretrain", 0)
    assert first["curves"] == {"loss": [[1, 5.0]]}
    with open(path, "a") as file:
        file.write('ss": 4.0}\n{"step": 2, "event": "rollback", "to": 1}\n')
    second = runs.diary("going", "pretrain", first["after"])
    assert second["curves"] == {"loss": [[2, 4.0]]}
    assert second["events"] == [{"step": 2, "kind": "rollback", "facts": {"to": 1}}]
    path.write_text('{"step": 1, "loss": 9.0}\n')
    third = runs.diary("going", "pretrain", second["after"])
    assert third["anew"]
    assert third["curves"] == {"loss": [[1, 9.0]]}


def test_a_long_diary_is_thinned_evenly_and_keeps_its_end(runs, tmp_path):
    path = tmp_path / "going" / "pretrain.partial" / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {n}, "loss": {n}}}\n' for n in range(10_001)))
    points = runs.diary("going", "pretrain", 0)["curves"]["loss"]
    assert len(points) <= 1502
    assert points[0] == [0, 0]
    assert points[-1] == [10_000, 10_000]


def test_a_model_s_folder_knows_its_run(tmp_path, runs):
    assert run_of(tmp_path / "done" / "pretrain" / "model") == tmp_path / "done"
    assert run_of(tmp_path / "secret") is None


def test_attention_maps_come_as_bytes(address):
    body = {"text": TEXT, "layer": 1}
    found = send(address, "POST", "/look/model", body).json
    data = np.frombuffer(base64.b64decode(found["weights"]), np.uint8)
    maps = data.reshape(found["heads"], found["time"], found["time"])
    assert found["heads"] == 4
    assert (maps.astype(int).sum(-1) > 200).all()
    assert (
        send(address, "POST", "/look/model", {"text": "a", "layer": 99}).json["heads"]
        == 0
    )
