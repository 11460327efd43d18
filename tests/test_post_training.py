"""The trainings after pretraining as stages of a run: every loss, adapters, rewards."""

import math
import shutil

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from hornbook.align.messages import Conversation, read_jsonl
from hornbook.align.rewards import parses
from hornbook.cli import commands
from hornbook.core.errors import UserError
from hornbook.core.files import read_json
from hornbook.inspecting import inspect_sft
from hornbook.model.huggingface import load_model
from hornbook.pipeline import read_manifest
from hornbook.recipe import load
from hornbook.run import run_recipe
from hornbook.train.metrics import read_metrics

REWARD = ("reward.train.steps=6", "reward.train.batch=4", "reward.train.optimizer=adamw",
          "reward.train.learning_rate=1e-3", "reward.train.checkpoint_every=2")  # fmt: skip


@pytest.fixture
def run(small_run, tmp_path):
    """A finished small run that a test may change."""
    shutil.copytree(small_run, tmp_path / "runs" / "small")
    return tmp_path / "runs" / "small"


def again(small_recipe, run, *overrides, until=None):
    """Bring ``run`` up to date with the recipe and ``overrides``."""
    run_recipe(load(str(small_recipe), overrides), run.parent, "cpu", until)
    return run


@pytest.mark.parametrize("loss", ["cdpo", "ipo", "kto", "orpo", "simpo"])
def test_every_preference_loss_runs_as_a_stage(small_recipe, run, loss):
    again(small_recipe, run, f"dpo.loss={loss}", until="dpo")
    diary = read_metrics(run / "dpo" / "metrics.jsonl")
    steps = [record for record in diary if "loss" in record]
    assert len(steps) == 6
    assert all(math.isfinite(record["loss"]) for record in steps)
    wanted = {"accuracy", "kl"} if loss == "kto" else {"accuracy", "margin"}
    assert wanted <= steps[0].keys()
    last = next(r for r in diary if "validation_kl" in r)
    assert {"validation_accuracy", "validation_margin"} <= last.keys()
    assert last["validation_kl"] >= 0
    assert read_manifest(run, "dpo")["facts"]["loss"] == loss


def test_a_live_reference_gives_the_weights_of_a_precomputed_one(small_recipe, run):
    exact = "dpo.train.precision=float32"  # bfloat16 rounds other batches otherwise
    weights = run / "dpo/model/model.safetensors"
    again(small_recipe, run, exact, until="dpo")
    precomputed = load_file(weights)
    again(small_recipe, run, exact, "dpo.reference=live", until="dpo")
    for name, tensor in load_file(weights).items():
        torch.testing.assert_close(tensor, precomputed[name], atol=1e-5, rtol=0)


@pytest.mark.parametrize("dora", ["false", "true"])
def test_adapters_are_saved_as_peft_reads_them_and_merged_for_later_stages(
    small_recipe, small_run, run, dora
):
    lora = ("sft.lora.rank=2", f"sft.lora.dora={dora}", "sft.neftune=5")
    again(small_recipe, run, *lora, "dpo.lora.rank=2", until="dpo")
    for stage, base in (("sft", "pretrain"), ("dpo", "sft")):
        adapter = run / stage / "model" / "adapter"
        assert read_json(adapter / "adapter_config.json")["r"] == 2
        facts = read_manifest(run, stage)["facts"]
        weights = load_file(adapter / "adapter_model.safetensors")
        trained = sum(tensor.numel() for tensor in weights.values())
        assert facts["trained_parameters"] == trained
        model = load_model(run / stage / "model")
        before = load_model(run / base / "model")
        changed = {
            name
            for name, tensor in model.state_dict().items()
            if not torch.equal(tensor, before.state_dict()[name])
        }
        assert changed
        assert all(name.startswith("blocks.") for name in changed)


def test_the_reward_model_is_judged_beside_baselines_with_intervals(small_recipe, run):
    again(small_recipe, run, *REWARD)
    results = read_json(run / "evaluate" / "results.json")["results"]
    found = {r["metric"]: r for r in results if r["task"].startswith("reward model")}
    accuracy = found["share of pairs"]
    assert accuracy["baselines"].keys() == {"by length", "bag of words"}
    for result in found.values():
        assert result["ci95"][0] <= result["value"] <= result["ci95"][1]
    assert "reward model, held-out pairs" in (run / "report.json").read_text()
    assert read_manifest(run, "reward")["facts"]["held_out_pairs"] == accuracy["n"]


def test_tables_without_sft_are_refused(small_recipe, tmp_path):
    text = small_recipe.read_text()
    start, end = text.index("[sft.train]"), text.index("[evaluate]")
    path = tmp_path / "bare.toml"
    path.write_text(text[:start] + "[reward.train]\nsteps = 2\n" + text[end:])
    with pytest.raises(UserError, match=r"\[reward\] starts from a fine-tuned model"):
        load(str(path))


GRPO = ("grpo.reward=parses", "grpo.prompts=2", "grpo.group=4", "grpo.max_tokens=8",
        "grpo.judged=6", "grpo.kl=0.05", "grpo.train.steps=3", "grpo.train.optimizer=adamw",
        "grpo.train.learning_rate=1e-3")  # fmt: skip


def test_learning_from_rewards_is_judged_before_and_after(small_recipe, run):
    again(small_recipe, run, *GRPO)
    results = read_json(run / "evaluate" / "results.json")["results"]
    found = {r["metric"]: r for r in results if r["task"].startswith("grpo")}
    gain = found["gain in share solved"]
    share = found["share solved"]
    assert gain["value"] == pytest.approx(share["value"] - share["baselines"]["before"])
    for result in found.values():
        assert result["ci95"][0] <= result["value"] <= result["ci95"][1]
    step = next(r for r in read_metrics(run / "grpo" / "metrics.jsonl") if "loss" in r)
    assert {
        "reward",
        "ratio",
        "kl",
        "entropy",
        "length",
        "zero_variance",
    } <= step.keys()
    assert step["sampler_gap"] < 0.05  # bfloat16 at worst
    facts = read_manifest(run, "grpo")["facts"]
    assert facts["answers"] == 3 * 2 * 4
    accepted = CliRunner().invoke(
        commands,
        [
            "rejection-sample",
            str(run),
            "--out",
            str(run / "good.jsonl"),
            "--limit",
            "8",
        ],
    )
    if isinstance(accepted.exception, UserError):
        assert "None of 64 answers was good" in str(accepted.exception)
    else:
        assert accepted.exit_code == 0, accepted.output
        kept = read_jsonl(run / "good.jsonl", Conversation)
        assert all(parses(chat.messages[-1]["content"]) for chat in kept)


def test_a_policy_that_stays_collapsed_ends_the_run_in_a_sentence(small_recipe, run):
    floor = ("grpo.min_entropy=1000", "grpo.train.checkpoint_every=1")
    with pytest.raises(UserError, match="entropy has fallen"):
        again(small_recipe, run, *GRPO, *floor, until="grpo")
    assert not (run / "grpo").exists()


def test_packed_chats_are_shown(run):
    shown = CliRunner().invoke(commands, ["inspect", "sft", str(run), "--rows", "1"])
    assert shown.exit_code == 0, shown.output
    with pytest.raises(UserError, match="has no chat data"):
        inspect_sft(run / "nothing", 1)


def test_a_reward_model_is_asked_only_where_there_is_one(small_recipe):
    sets = ("ppo.reward=model", "ppo.train.steps=2")
    with pytest.raises(UserError, match=r"\[ppo\] asks a reward model"):
        load(str(small_recipe), sets)
