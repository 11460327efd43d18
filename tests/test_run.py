"""A run as a whole: what it leaves, what it skips, what it redoes, and why."""

import json
import shutil

import pytest
import torch

from hornbook.core.errors import UserError
from hornbook.pipeline import locked, make_plan, read_manifest
from hornbook.recipe import load
from hornbook.stages import stages_of


def due(recipe_path, run, *overrides):
    """Stage -> reason, for the stages that would be run."""
    recipe = load(str(recipe_path), overrides)
    plans = make_plan(recipe, stages_of(recipe), run)
    return {plan.stage.name: plan.why for plan in plans if plan.why}


def test_every_stage_is_published_with_a_manifest_that_its_files_agree_with(small_run):
    stages = stages_of(load(str(small_run / "recipe.toml")))
    for stage in stages:
        manifest = read_manifest(small_run, stage.name)
        assert manifest["files"]
        for name, facts in manifest["files"].items():
            assert (small_run / stage.name / name).stat().st_size == facts["bytes"]
    assert not list(small_run.glob("*.partial"))
    assert (small_run / "report.pdf").read_bytes().startswith(b"%PDF")
    assert json.loads((small_run / "report.json").read_text())["evals"]


def test_the_run_shows_funnel_results_samples_and_how_to_go_on(small_run):
    shown = (small_run / "stdout.txt").read_text()
    for part in ("extract", "bits per byte", "def f(", "hornbook chat"):
        assert part in shown


def test_the_stored_recipe_is_the_one_that_was_run(small_recipe, small_run):
    assert load(str(small_run / "recipe.toml")) == load(str(small_recipe))


def test_a_second_run_has_nothing_to_do(small_recipe, small_run):
    assert due(small_recipe, small_run) == {}


@pytest.mark.parametrize(
    ("override", "first", "reason", "untouched"),
    [
        ("data.dedup.min_left=50", "dedup", "data.dedup.min_left 200 -> 50", {"filter"}),
        ("tokenizer.vocab_size=380", "tokenizer", "tokenizer.vocab_size 400 -> 380", {"split"}),
        ("pretrain.steps=31", "pretrain", "pretrain.steps 30 -> 31", {"shards", "chatdata"}),
        ("sft.data.max_pairs=5", "chatdata", "sft.data.max_pairs 20000 -> 5", {"pretrain"}),
        ("dpo.beta=0.2", "dpo", "dpo.beta 0.1 -> 0.2", {"sft"}),
        ("evaluate.functions=3", "evaluate", "evaluate.functions 4 -> 3", {"dpo"}),
    ],
)  # fmt: skip
def test_a_changed_key_redoes_what_depends_on_it_and_says_why(
    small_recipe, small_run, override, first, reason, untouched
):
    again = due(small_recipe, small_run, override)
    assert next(iter(again.items())) == (first, reason)
    assert all(why.endswith("is redone") for why in list(again.values())[1:])
    assert "evaluate" in again
    assert not untouched & again.keys()


@pytest.mark.parametrize(
    "key", ["pretrain.validate_every=3", "sft.train.checkpoint_every=1"]
)
def test_how_often_to_look_changes_no_result_and_redoes_nothing(
    small_recipe, small_run, key
):
    assert due(small_recipe, small_run, key) == {}


def test_a_changed_source_file_redoes_the_data(tmp_path, small_recipe):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("one two three " * 50)
    override = f"data.sources.0.path={texts}"
    recipe = load(str(small_recipe), (override,))
    stages = stages_of(recipe)
    run = tmp_path / "run"
    before = make_plan(recipe, stages, run)[0].fingerprint
    assert make_plan(recipe, stages, run)[0].fingerprint == before
    (texts / "a.txt").write_text("four five six " * 50)
    assert make_plan(recipe, stages, run)[0].fingerprint != before


def test_two_processes_never_work_on_one_run(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(UserError, match="Another process"),
        locked(tmp_path),
    ):
        pass


def test_a_model_directory_opens_in_transformers_with_the_same_logits_and_ids(
    small_run,
):
    transformers = pytest.importorskip("transformers")
    from hornbook.model.huggingface import load_model
    from hornbook.tokenizer.base import load_tokenizer

    for stage in ("pretrain", "dpo"):
        directory = small_run / stage / "model"
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
        text = "def parse(self, text):\n    return [x for x in text if x != 'é']\n"
        ids = load_tokenizer(directory).encode(text)
        assert tokenizer.encode(text, add_special_tokens=False) == ids
        tokens = torch.tensor([ids[:60]])
        with torch.no_grad():
            ours = load_model(directory)(tokens)
            assert (theirs(tokens).logits - ours).abs().max() < 1e-4


def test_the_chat_template_gives_transformers_the_ids_we_train_on(small_run):
    transformers = pytest.importorskip("transformers")
    from hornbook.tokenizer.base import load_tokenizer
    from hornbook.tokenizer.chat import render_chat

    directory = small_run / "sft" / "model"
    messages = [
        {"role": "user", "content": "What does `f` do?"},
        {"role": "assistant", "content": "It parses."},
    ]
    theirs = transformers.AutoTokenizer.from_pretrained(directory)
    ids = theirs.apply_chat_template(messages, tokenize=True, return_dict=False)
    assert ids == render_chat(load_tokenizer(directory), messages).ids.tolist()


def test_a_removed_stage_directory_is_made_again_and_nothing_else(
    small_recipe, small_run, tmp_path
):
    copy = tmp_path / "small"
    shutil.copytree(small_run, copy)
    shutil.rmtree(copy / "filter")
    assert due(small_recipe, copy) == {"filter": "not done yet"}
