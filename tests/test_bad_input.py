"""What a user may get wrong ends in one sentence, not a traceback, and publishes nothing."""

import errno
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hornbook import cli
from hornbook.core import files
from hornbook.core.errors import UserError
from hornbook.recipe import load
from hornbook.run import run_recipe

RECIPE = """
name = "mine"
[[data.sources]]
kind = "files"
path = "{path}"
[data.filters]
min_bytes = 1
[tokenizer]
vocab_size = {vocab}
[model]
n_layers = 1
d_model = 32
n_heads = 2
n_kv_heads = 1
context_length = {context}
[pretrain]
steps = 4
batch = 2
[evaluate]
functions = 0
"""


def recipe(tmp_path: Path, path: Path, vocab=300, context=32) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(RECIPE.format(path=path, vocab=vocab, context=context))
    return file


def command(*arguments, monkeypatch, capsys):
    """Exit status and stderr of the command line."""
    monkeypatch.setattr("sys.argv", ["hornbook", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capsys.readouterr().err


@pytest.fixture
def texts(tmp_path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    dice = random.Random(0)
    for n in range(40):
        words = (
            "".join(dice.choices("aeinorst", k=dice.randint(2, 7))) for _ in range(90)
        )
        (folder / f"{n}.txt").write_text(f"Text {n} says: {' '.join(words)}.\n")
    return folder


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda t: None, "no file or folder"),
        (lambda t: t.mkdir(), "no file"),
        (lambda t: (t.mkdir(), (t / "a.bin").write_bytes(b"\0\1\2"))[0], "no file"),
        (
            lambda t: (t.mkdir(), (t / "a.txt").write_bytes(b"\0\1\2\xff" * 99))[0],
            "binary",
        ),
    ],
    ids=["missing folder", "empty folder", "no text files", "binary file"],
)
def test_sources_without_text_are_named(tmp_path, make, said, monkeypatch, capsys):
    folder = tmp_path / "texts"
    make(folder)
    file = recipe(tmp_path, folder)
    status, error = command(
        "run", file, "--runs", tmp_path / "runs", monkeypatch=monkeypatch, capsys=capsys
    )
    assert status == 1
    assert said in error
    assert str(folder) in error or "texts" in error
    assert "Traceback" not in error


def test_stray_files_are_counted_and_never_fatal(tmp_path, texts):
    (texts / "photo.jpg").write_bytes(b"\xff\xd8\xff" * 100)
    (texts / "latin.txt").write_bytes("Déjà vu, naïve café. ".encode("latin-1") * 20)
    (texts / "zeros.txt").write_bytes(b"\0" * 500)
    os.symlink(texts, texts / "loop")
    run = run_recipe(
        load(str(recipe(tmp_path, texts))), tmp_path / "runs", "cpu", "extract"
    )
    from hornbook.pipeline import read_manifest

    facts = read_manifest(run, "extract")["facts"]
    assert facts["documents_out"] >= 41  # the Latin-1 text is one of them
    assert sum(facts["skipped_count"].values()) >= 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vocab": 60_000}, "too small for tokenizer.vocab_size"),
        ({"context": 60_000}, "context"),
    ],
)
def test_a_corpus_too_small_for_the_settings_says_what_would_fit(
    tmp_path, texts, change, said
):
    with pytest.raises(UserError, match=said) as caught:
        run_recipe(
            load(str(recipe(tmp_path, texts, **change))), tmp_path / "runs", "cpu"
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "stage", ["extract", "split", "tokenizer", "shards", "pretrain"]
)
def test_a_disk_that_fills_up_in_a_stage_leaves_nothing_published_by_it(
    tmp_path, texts, stage, monkeypatch, capsys
):
    """Syncing any file of the stage fails, as on a disk without room."""
    sync = files.sync

    def full(path):
        if f"{stage}.partial" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        sync(path)

    monkeypatch.setattr(files, "sync", full)
    status, error = command(
        "run", recipe(tmp_path, texts), "--runs", tmp_path / "runs",
        monkeypatch=monkeypatch, capsys=capsys,
    )  # fmt: skip
    assert status == 1
    assert "The disk is full" in error
    assert "Traceback" not in error
    assert not (tmp_path / "runs" / "mine" / stage).exists()


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, whose size the test chooses."""
    mounted = []

    def mount(kilobytes: int) -> Path:
        place = tmp_path / f"disk{kilobytes}"
        place.mkdir()
        options = f"size={kilobytes}k"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
            capture_output=True,
        )
        if done.returncode:
            pytest.skip("mounting a small disk needs rights that this user lacks")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_really_full_ends_in_one_sentence_whatever_was_being_written(
    small_disk, tmp_path, texts, monkeypatch, capsys
):
    for kilobytes in (8, 40, 90, 160, 300):
        disk = small_disk(kilobytes)
        status, error = command(
            "run",
            recipe(tmp_path, texts),
            "--runs",
            disk,
            monkeypatch=monkeypatch,
            capsys=capsys,
        )
        assert status == 1
        assert "The disk is full" in error, error
        assert "Traceback" not in error
        for stage in (disk / "mine").glob("*/"):
            assert stage.name.endswith(".partial") or (stage / "manifest.json").exists()


def test_help_and_version_do_not_wait_for_torch():
    code = (
        "import sys, hornbook.cli as c\n"
        "try: c.commands(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'numpy', 'numba', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("name", list(cli.commands.commands))
def test_every_command_explains_itself(name):
    result = CliRunner().invoke(cli.commands, [name, "--help"])
    assert result.exit_code == 0
    assert len(result.output) > 100


def test_chat_and_generate_say_what_is_missing(tmp_path, monkeypatch, capsys):
    for verb in ("chat", "generate"):
        status, error = command(
            verb, tmp_path / "no", monkeypatch=monkeypatch, capsys=capsys
        )
        assert status == 1
        assert "is not a folder" in error
        status, error = command(verb, tmp_path, monkeypatch=monkeypatch, capsys=capsys)
        assert status == 1
        assert "no trained model" in error


def test_a_new_recipe_loads_and_is_never_overwritten(tmp_path, monkeypatch, capsys):
    path = tmp_path / "mine.toml"
    result = CliRunner().invoke(
        cli.commands, ["new", str(path), "--text", 'my "texts"']
    )
    assert result.exit_code == 0
    assert load(str(path)).data.sources[0].path == 'my "texts"'
    status, error = command("new", path, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 1
    assert "exists already" in error


def test_generate_streams_a_completion_and_chat_answers(small_run):
    completed = CliRunner().invoke(
        cli.commands,
        [
            "generate",
            str(small_run),
            "--prompt",
            "def f(x):",
            "--top-k",
            "50",
            "--max-tokens",
            "8",
        ],
    )
    assert completed.exit_code == 0
    assert completed.output.startswith("def f(x):")
    assert len(completed.output) > len("def f(x):\n")
    talked = CliRunner().invoke(
        cli.commands,
        ["chat", str(small_run), "--max-tokens", "8"],
        input="Hello?\n\nWhy?\n",
    )
    assert talked.exit_code == 0, talked.output
