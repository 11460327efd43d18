"""What can go wrong around a training ends in one sentence that says what to do."""

import errno
import subprocess

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from hornbook.core.errors import UserError
from hornbook.core.files import write_json
from hornbook.data.shards import Shards
from hornbook.pipeline import make_plan
from hornbook.recipe import load
from hornbook.stages import stages_of
from hornbook.train import checkpoint


def refused(path, *overrides):
    with pytest.raises(UserError) as caught:
        load(str(path), overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_impossible_heads_are_named(small_recipe):
    said = refused(small_recipe, "model.n_heads=3")
    assert "'d_model' (32) must be a multiple of 'n_heads' (3)" in said
    said = refused(small_recipe, "model.n_heads=4", "model.n_kv_heads=3")
    assert "'n_heads' (4) must be a multiple of 'n_kv_heads' (3)" in said


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("pretrain.guard.spik=3", "did you mean 'spike'"),
        ("pretrain.precision=fp16", "float16"),
        ("pretrain.steps=0", "pretrain.steps"),
        ("pretrain.trackers=['tensorbord']", "tensorboard"),
        ("pretrain.keep_last=0", "pretrain.keep_last"),
    ],
)
def test_a_wrong_setting_names_the_key_and_what_it_can_be(small_recipe, override, said):
    assert said in refused(small_recipe, override)


def test_missing_and_cut_off_shards_are_named(tmp_path):
    with pytest.raises(UserError, match=r"index\.json does not exist"):
        Shards.open(tmp_path)


class Huge(torch.nn.Module):
    """Needs more memory than any machine has."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, tokens, segments=None):
        return torch.empty(1 << 60) * self.weight


def test_too_little_memory_says_what_would_fit(small, tmp_path):
    with pytest.raises(
        UserError, match="not enough memory for 8 rows of 5 tokens"
    ) as it:
        small.run(tmp_path / "a", model=Huge())
    assert "set 'micro_batch' to 4, which changes no result" in str(it.value)
    assert "'recompute'" in str(it.value)


def test_recompute_without_blocks_is_refused(small, tmp_path):
    config = msgspec.structs.replace(small.config, recompute=True)
    with pytest.raises(UserError, match="needs a model made of blocks"):
        small.run(tmp_path / "a", config)


def test_a_disk_really_full_while_saving_is_an_error_that_is_told(tmp_path):
    """safetensors words the system's error its own way; here it is one again."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs rights that this user lacks")
    try:
        with pytest.raises(OSError) as caught:
            checkpoint.write(place, 1, lambda d: None, {"x": torch.zeros(100_000)}, {})
        assert caught.value.errno == errno.ENOSPC
        assert checkpoint.latest(place) is None
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_every_checkpoint_damaged_means_the_start_not_a_wrong_result(small, tmp_path):
    whole = small.run(tmp_path / "whole")
    with pytest.raises(small.Stop):
        small.run(tmp_path / "cut", batches=small.stop_at(10))
    for path in checkpoint.checkpoints(tmp_path / "cut"):
        save_file({"x": torch.zeros(1)}, path / "optimizer.safetensors")
    assert checkpoint.latest(tmp_path / "cut") is None
    assert small.digest(small.run(tmp_path / "cut")) == small.digest(whole)


def test_going_on_under_other_settings_is_refused_before_anything_is_lost(
    small_recipe, tmp_path
):
    """A training cut off after ten steps, and the same recipe with another learning rate."""

    def plan(*overrides):
        recipe = load(str(small_recipe), overrides)
        return {p.stage.name: p for p in make_plan(recipe, stages_of(recipe), tmp_path)}

    before = plan()["pretrain"]
    partial = tmp_path / "pretrain.partial"
    (partial / "step-00000010").mkdir(parents=True)
    noted = {"fingerprint": before.fingerprint, "settings": before.basis["settings"]}
    write_json(partial / "intent.json", noted)
    assert plan()["pretrain"].why == "was cut off, goes on"
    with pytest.raises(UserError) as caught:
        plan("pretrain.learning_rate=0.01")
    said = str(caught.value)
    assert (
        "after step 10 under other settings (pretrain.learning_rate 0.02 -> 0.01)"
        in said
    )
    assert "change them back to go on with it, or remove that folder" in said
    (partial / "step-00000010").rmdir()
    assert plan("pretrain.learning_rate=0.01")["pretrain"].why == "not done yet"
