"""`hornbook verify` finds every damaged file of a run and says what to do about it."""

import json
import shutil

import pytest
from click.testing import CliRunner

from hornbook import cli
from hornbook.core.errors import UserError
from hornbook.verify import verify


@pytest.fixture
def run(small_run, tmp_path):
    """A copy of the small run, to be harmed."""
    return shutil.copytree(small_run, tmp_path / "small")


def flip(path, at=-3):
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def test_a_run_is_sound_as_it_was_made(run):
    result = CliRunner().invoke(cli.commands, ["verify", str(run)])
    assert result.exit_code == 0
    assert "all are sound" in result.output


@pytest.mark.parametrize(
    ("file", "harm", "said"),
    [
        ("shards/train/tokens-00000.npy", flip, "SHA-256 differs"),
        ("pretrain/model/model.safetensors", flip, "SHA-256 differs"),
        ("split/train", shutil.rmtree, "is missing"),
        ("tokenizer/tokenizer.json", lambda p: p.write_text("{}"), "bytes instead of"),
        ("sft/manifest.json", lambda p: p.write_text("{"), "missing or damaged"),
    ],
)
def test_each_damaged_file_is_named_with_the_way_out(run, file, harm, said):
    harm(run / file)
    result = CliRunner().invoke(cli.commands, ["verify", str(run), "--json"])
    assert result.exit_code == 1
    found = json.loads(result.output)["damage"]
    assert all(d["path"].startswith(str(run / file)) for d in found)
    assert all(said in d["problem"] for d in found)
    stage = file.split("/")[0]
    assert all(f"remove {run / stage} and run" in d["remedy"] for d in found)


def test_a_damaged_checkpoint_of_a_training_cut_off_needs_nothing_done(run):
    model = run / "pretrain" / "model"
    copied = shutil.copytree(model, run / "sft.partial" / "step-00000030")
    assert verify(run).damage == []
    flip(copied / "optimizer.safetensors")
    (found,) = verify(run).damage
    assert found.path.name == "optimizer.safetensors"
    assert "goes on from the newest one that is sound" in found.remedy


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds no recipe\.toml"):
        verify(tmp_path)
