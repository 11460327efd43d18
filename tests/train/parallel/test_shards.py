"""Sharded checkpoints: any number of ranks goes on where any other stopped."""

import json
from pathlib import Path

import msgspec
import pytest
import torch

from hornbook.model.huggingface import load_model, save_model
from hornbook.train import checkpoint
from hornbook.train.backend import choose_backend
from hornbook.train.loop import Hooks, train
from hornbook.train.metrics import read_metrics
from hornbook.train.objective import next_token
from tests.train.parallel import cases
from tests.train.parallel.spawn import spawn

CONFIG = msgspec.structs.replace(cases.TRAIN, steps=8, checkpoint_every=4)
SHAPE = msgspec.structs.replace(cases.MODEL, n_layers=2)


class Stop(BaseException):
    """Stands for a kill."""


def run(ranks, directory: Path, stop: int = 99) -> None:
    directory.mkdir(exist_ok=True)
    made = cases.model(SHAPE)

    def batches(step):
        if step == stop:
            raise Stop
        return cases.batch(step)

    def read(folder):
        made.load_state_dict(load_model(folder).state_dict())

    try:
        train(
            made,
            next_token,
            batches,
            CONFIG,
            directory,
            Hooks(save_model, read),
            backend=choose_backend(CONFIG, "cpu"),
            seed=1,
            label="t",
            team=ranks,
        )
    except Stop:
        return


def losses(directory: Path) -> list[float]:
    return [r["loss"] for r in read_metrics(directory / "metrics.jsonl") if "loss" in r]


def _on_four(rank, alone, cut, whole, plain):
    """Stopped after step 5 as 2 shards x 2 tensor; the whole way; on from one process."""
    from hornbook.train.parallel.consolidate import consolidate
    from hornbook.train.parallel.ranks import Ranks

    device = torch.device("cpu")
    both = Ranks(cases.parallel(shard=2, tensor=2), device)
    run(both, Path(cut), stop=5)
    run(Ranks(cases.parallel(shard=2, tensor=2), device), Path(whole))
    last = checkpoint.checkpoints(Path(whole))[-1]
    written = consolidate(
        last, SHAPE, Path(whole) / "model", rank=rank, ranks=both.size
    )
    run(Ranks(cases.parallel(data=2, shard=2), device), Path(plain))
    return written


def _on_two(rank, cut):
    from hornbook.train.parallel.ranks import Ranks

    run(Ranks(cases.parallel(shard=2), torch.device("cpu")), Path(cut))
    return 0


def _on_eight(rank, cut):
    from hornbook.train.parallel.ranks import Ranks

    axes = cases.parallel(data=2, shard=2, tensor=2)
    run(Ranks(axes, torch.device("cpu")), Path(cut))
    return 0


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    import shutil

    root = tmp_path_factory.mktemp("shards")
    run(None, root / "alone")
    run(None, root / "plain", stop=5)
    found = {n: str(root / n) for n in ("alone", "cut", "whole", "plain")}
    written = spawn(_on_four, 4, *found.values())
    shutil.copytree(root / "cut", root / "cut-one")
    shutil.copytree(root / "cut", root / "cut-eight")
    shutil.copytree(root / "cut", root / "cut-damaged")
    spawn(_on_two, 2, found["cut"])
    return root, written


def test_four_ranks_as_two_by_two_train_as_one_process_does(folders):
    assert losses(folders[0] / "whole") == pytest.approx(
        losses(folders[0] / "alone"), rel=1e-5
    )


def test_two_ranks_go_on_from_four_with_the_same_data_and_losses(folders):
    assert losses(folders[0] / "cut") == pytest.approx(
        losses(folders[0] / "alone"), rel=1e-5
    )


def test_one_process_goes_on_from_four_ranks(folders):
    directory = folders[0] / "cut-one"
    assert [p.name for p in checkpoint.checkpoints(directory)][-1] == "step-00000004"
    run(None, directory)
    assert losses(directory) == pytest.approx(losses(folders[0] / "alone"), rel=1e-5)


def test_four_ranks_go_on_from_one_process(folders):
    assert losses(folders[0] / "plain") == pytest.approx(
        losses(folders[0] / "alone"), rel=1e-5
    )


@pytest.mark.slow
def test_eight_ranks_go_on_from_four(folders):
    directory = folders[0] / "cut-eight"
    spawn(_on_eight, 8, str(directory))
    assert losses(directory) == pytest.approx(losses(folders[0] / "alone"), rel=1e-5)


def test_a_sharded_checkpoint_that_is_damaged_is_passed_over(folders):
    directory = folders[0] / "cut-damaged"
    file = next((directory / "step-00000004" / "shards").glob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert checkpoint.latest(directory).name == "step-00000000"


def test_no_shard_is_pickled(folders):
    files = list((folders[0] / "whole" / "step-00000008").rglob("*"))
    assert {f.suffix for f in files if f.is_file()} == {".safetensors", ".json"}


def test_consolidated_by_many_it_opens_as_a_model_directory(folders):
    from hornbook.train.parallel.consolidate import finish

    root, written = folders
    model = root / "whole" / "model"
    finish(model, {k: v for part in written for k, v in part.items()}, 8)
    assert sum(bool(part) for part in written) > 1  # shared out over ranks
    known = checkpoint.checkpoints(root / "alone")[-1]
    expected = load_model(known).state_dict()
    for name, tensor in load_model(model).state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-4)
    index = json.loads((model / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) == 5  # two blocks, three others
    assert checkpoint.is_sound(model)
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(model)
    tokens = cases.batch(0).tokens
    with torch.no_grad():
        torch.testing.assert_close(
            theirs(tokens).logits, load_model(model)(tokens), rtol=1e-3, atol=1e-4
        )


def test_consolidating_never_holds_more_than_a_block(folders, tmp_path, monkeypatch):
    from hornbook.train.parallel import consolidate, shards

    asked = []
    load = shards.load_alone

    def noted(wanted, checkpoint):
        asked.append(sum(t.numel() for t in wanted.values()))
        load(wanted, checkpoint)

    monkeypatch.setattr(shards, "load_alone", noted)
    last = checkpoint.checkpoints(folders[0] / "whole")[-1]
    consolidate.consolidate(last, SHAPE, tmp_path / "model")
    model = cases.model(SHAPE)
    block = sum(p.numel() for p in model.blocks[0].parameters())
    assert len(asked) == 5
    assert max(asked) == block
